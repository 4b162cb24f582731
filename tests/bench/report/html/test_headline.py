"""The sentence of a section: which row it is about, and that it says no more than its intervals."""

from dataclasses import replace

import pytest

from flatqat.bench.records.store import Store
from flatqat.bench.report.by_method import method_rows
from flatqat.bench.report.html.headline import headline
from flatqat.bench.report.render import load
from flatqat.bench.report.tax import ood_taxes
from flatqat.metrics.estimate import Estimate
from tests.helpers.study_records import CELL, SEEDS, put, right_of

ROWS = [("fp", "fp"), ("qat", "8"), ("qat", "4"), ("ptq", "3")]


@pytest.fixture
def section(tmp_path):
    store = Store(tmp_path)
    for method, bits in ROWS:
        put(store, replace(CELL, method=method, quant=bits), right_of(0, 0.1, {}, [1]))
    (section,) = load(store, None)
    widths = {"fp": None, "8": 8, "4": 4, "3": 3}
    for (_, bits), records in section.rows.items():
        quant = replace(records[0].protocol.quant, weight_bits=widths[bits], act_bits=widths[bits])
        records[0] = replace(records[0], protocol=replace(records[0].protocol, quant=quant))
    return section


def estimate(value: float, error: float, seeds: int = 3) -> Estimate:
    return Estimate(
        value=value,
        seed_variance=0.0,
        image_variance=error**2,
        seed_freedom=2,
        image_freedom=1e9,
        seeds=seeds,
        images=100,
    )


def row(key, extra=None, collapsed=False):
    low, high = (None, None) if extra is None else (extra - 1, extra + 1)
    ood = {"ood_top1": 70.0, "ood_top1_low": 65.0, "ood_top1_high": 75.0}
    ood |= {"seeds": 3}
    of_gap = {"extra_gap": extra, "extra_gap_low": low, "extra_gap_high": high, "collapsed": collapsed}
    return {"method": key[0], "bits": key[1], **ood, **of_gap}


def said(section, tax, against="qat", **fields):
    rows = [row(key, **fields) for key in section.rows]
    return headline(section, rows, dict.fromkeys(section.rows, tax) if tax else {}, against)


LOST = "2.0 points of top-1 against `fp`, 95% interval 1.0 to 3.0 over 3 seeds and images"
APART = "its difference from `fp` is +0.5 points, 95% interval -0.5 to +1.5 over 3 seeds and images"


@pytest.mark.parametrize(
    ("tax", "extra", "sentence"),
    [
        (-2, 3, f"loses {LOST}, more than in distribution (extra gap +3.0, +2.0 to +4.0)."),
        (-2, -3, f"loses {LOST}, less than in distribution (extra gap -3.0, -4.0 to -2.0)."),
        (2, 3, f"gains {LOST}, less than in distribution (extra gap +3.0, +2.0 to +4.0)."),
        (2, -3, f"gains {LOST}, more than in distribution (extra gap -3.0, -4.0 to -2.0)."),
        (-2, 0.5, f"loses {LOST}; whether that is more or less than in distribution is undecided (extra"),
        (0.5, 0.5, f"undecided: {APART}, and so is whether it is more or less than in distribution (extra"),
        (0.5, 3, f"undecided: {APART}; beside that in distribution it is lower (extra gap +3.0,"),
        (0.5, -3, f"undecided: {APART}; beside that in distribution it is higher (extra gap -3.0,"),
    ],
)
def test_a_claim_is_as_strong_as_its_interval(section, tax, extra, sentence):
    text = said(section, estimate(tax, 1 / 1.959964), extra=extra)
    assert sentence in text
    assert text.endswith(".")
    assert ("undecided" in text) == (abs(tax) < 1 or abs(extra) < 1)


def test_it_is_about_the_lowest_bits_of_the_method_or_of_the_first_other(section):
    tax = estimate(-2, 0.1)
    assert "`qat` at 4 bits" in said(section, tax)
    assert "`ptq` at 3 bits" in said(section, tax, against="ptq")
    assert f"`{list(section.rows)[1][0]}` at" in said(section, tax, against="unknown")


def test_one_seed_says_nothing_of_methods(section):
    text = said(section, estimate(-2, 0.1, seeds=1), extra=3)
    assert text.startswith("In these training runs alone, `qat 4` differs from `fp` by -2.0 points")
    assert "with one seed" in text
    assert not {"loses", "more than", "worse"} & set(text.split())


def test_what_has_collapsed_and_what_has_no_comparison_is_said(section):
    assert said(section, estimate(-30, 1), collapsed=True).endswith("and it has collapsed in distribution.")
    text = said(section, None)
    assert text.startswith(
        "`qat 4` has 70.0% OOD top-1, 95% interval 65.0 to 75.0 over seeds and images; what its bits cost is"
    )


def test_full_precision_alone_and_one_seed_are_said(section):
    alone = replace(section, rows={key: rows for key, rows in section.rows.items() if key[0] == "fp"})
    text = headline(alone, [row(("fp", "fp")) | {"seeds": 1}], {}, "qat")
    interval = "95% interval 65.0 to 75.0 over images, of this training run alone"
    assert text == f"`fp` has 70.0% OOD top-1, {interval}; only full precision is stored."


def test_it_is_computed_from_the_records(tmp_path):
    store = Store(tmp_path)
    for place, cell in enumerate((replace(CELL, method="fp", quant="fp"), CELL)):
        for seed in SEEDS:
            loss = dict.fromkeys(("weather", "blur"), -0.1 * place)
            put(store, replace(cell, seed=seed), right_of(seed, 0.02, loss, [place]))
    (section,) = load(store, None)
    tax = ood_taxes([section], store)
    value = tax["qat", "4"].value
    assert -13 < value < -7
    text = headline(section, method_rows(section, store), tax, "qat")
    assert text.startswith(f"Under shift, `qat` at 4 bits loses {-value:.1f} points of top-1 against `fp`")
