"""What a table of methods says beyond its numbers: what ± is of, and which rows are to be read otherwise."""

import json
import re
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from flatqat.bench.records.store import Store
from flatqat.bench.report.render import render
from flatqat.spec import Cell, Eigenvalue, Flatness, QuantSpec, Record
from tests.helpers import ROOT, street_records
from tests.helpers.records import margins_of, protocol, scores_of, shift_info, space_flatness, train_log

FP = Cell(suite="s", suite_version=1, model="m", method="fp", quant="fp", recipe="b", seed=0)
QAT = replace(FP, method="qat", quant="4")
SHIFTS = {
    "val": shift_info("val", image_set="val", in_mean=False),
    "id": shift_info("id"),
    "fog": shift_info("f"),
}
THESE_RUNS = "for these training runs alone: there is one seed. A second training may differ by more"
OF_SEEDS = "half of the 95% interval over seeds and images together"


def put(
    store: Store,
    cell: Cell,
    *,
    id_share: float = 0.9,
    audit: dict | None = None,
    classes: int = 0,
    flatness: Flatness | None = None,
) -> None:
    """A record of 200 images; exactly this share of ID is right."""
    rng = np.random.default_rng([cell.seed, *cell.method.encode()])
    right = {shift: rng.permutation(200) < 200 * id_share - 20 * (shift == "fog") for shift in SHIFTS}
    names = tuple(f"class {k}" for k in range(classes))
    record = Record(
        cell=cell,
        status="done",
        scores=scores_of(right),
        protocol=protocol(
            SHIFTS,
            suite="p",
            reference=cell.method == "fp",
            class_names=names,
            quant=QuantSpec() if cell.quant == "fp" else QuantSpec(weight_bits=4, act_bits=4),
        ),
        train=replace(train_log(), audit=audit or {}),
        flatness=flatness or Flatness(),
    )
    store.write_record(record, margins_of(right))


def table(store: Store) -> tuple[list[str], dict[str, dict[str, str]], str]:
    """The header, the rows by the first cell, and what stands below."""
    lines = render(store, None, "md", "method").splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    rows = {row[0]: dict(zip(cells[0], row, strict=True)) for row in cells[2:]}
    return cells[0], rows, "\n".join(line for line in lines if not line.startswith("|"))


def numbers(store: Store) -> pd.DataFrame:
    return pd.read_csv(StringIO(render(store, None, "csv", "method"))).set_index("method")


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_every_error_is_half_of_its_interval_and_says_what_it_is_over(tmp_path, seeds):
    store = Store(tmp_path)
    for cell in (FP, QAT):
        for seed in seeds:
            put(store, replace(cell, seed=seed), id_share=0.9 - 0.03 * seed)
    header, rows, below = table(store)
    row = numbers(store).loc["qat"]
    for name, column in (("ID", "id_top1"), ("OOD", "ood_top1")):
        half = (row[f"{column}_high"] - row[f"{column}_low"]) / 2
        assert rows["qat"][name] == f"{row[column]:.1f} ±{half:.1f}"
        assert half > 1.5 * row[f"{column}_stderr"]
    one = len(seeds) == 1
    assert ("extra gap [95%, these runs]" in header) == (THESE_RUNS in below) == one
    assert ("extra gap [95%]" in header) == (OF_SEEDS in below) == ("seeds" in header) == (not one)
    assert "†" not in below


MIXED = "computed on H100 and cpu, which differ in last digits"
MOVED = "bfloat16 moves the levels of 8-bit grids by up to a step"


@pytest.mark.parametrize(
    ("devices", "said"),
    [(("cpu (x86_64)", "cpu (arm64)"), ""), (("H100", "H100"), ""), (("cpu (x86_64)", "H100"), MIXED)],
)
@pytest.mark.parametrize("form", ["md", "latex"])
def test_tables_of_several_kinds_of_devices_say_so(tmp_path, devices, said, form):
    store = Store(tmp_path)
    for cell, device in zip((FP, QAT), devices, strict=True):
        put(store, cell)
        record = store.record(cell)
        store.write_record(replace(record, env=replace(record.env, device=device)))
    text = render(store, None, form, "method")
    assert (MIXED in text) == bool(said)
    assert "computed on" in text or not said


def test_tables_of_quantized_cells_in_bfloat16_say_what_it_does_to_grids(tmp_path):
    store = Store(tmp_path)
    put(store, replace(FP, amp=True))
    assert MOVED not in render(store, None, "md", "method")
    put(store, replace(QAT, amp=True))
    assert MOVED in render(store, None, "md", "method")
    other = Store(tmp_path / "float32")
    put(other, FP)
    put(other, QAT)
    assert MOVED not in render(other, None, "md", "method")


def test_a_level_of_an_8_bit_grid_moves_by_up_to_a_step_in_bfloat16():
    """bfloat16 has 8 bits of precision: a code of 8 bits times any step size needs up to 32."""
    steps = torch.linspace(0.001, 0.1, 5000)[:, None]
    for codes, most in ((torch.arange(256), 1.0), (torch.arange(-128, 128), 0.5), (torch.arange(16), 1 / 16)):
        levels = steps * codes
        moved = ((levels.bfloat16().float() - levels).abs() / steps).max().item()
        assert 0.9 * most < moved < most


def test_a_row_of_one_seed_among_others_has_a_mark(tmp_path):
    store = Store(tmp_path)
    for seed in (0, 1):
        put(store, replace(FP, seed=seed))
        put(store, replace(QAT, seed=seed))
    put(store, replace(QAT, method="sam"))
    header, rows, below = table(store)
    assert set(rows) == {"fp", "qat", "sam †"}
    assert "extra gap [95%]" in header
    assert OF_SEEDS in below
    assert "†: from one seed" in below
    assert "neither better nor worse" in below


def test_full_precision_of_one_seed_marks_the_extra_gaps_and_not_the_scores_of_others(tmp_path):
    store = Store(tmp_path)
    put(store, FP)
    for seed in (0, 1, 2):
        put(store, replace(QAT, seed=seed))
    header, rows, below = table(store)
    assert set(rows) == {"fp †", "qat"}
    assert "extra gap [95%]" in header
    assert rows["qat"]["extra gap [95%]"].endswith("] †")
    assert OF_SEEDS in below
    assert "†: from one seed" in below
    assert THESE_RUNS not in below


def test_flatness_is_shown_where_all_seeds_have_it(tmp_path):
    store = Store(tmp_path)
    measured = Flatness(quantized=space_flatness(2.0))
    vague = Eigenvalue(value=3.0, residual=0.5)
    put(store, FP, flatness=Flatness(quantized=space_flatness(2.0, lambda_max=vague)))
    put(store, replace(FP, seed=1))
    put(store, QAT, flatness=measured)
    _, rows, below = table(store)
    assert (rows["fp"]["λmax"], rows["qat †"]["λmax"]) == ("-", "2")
    assert "not shown where some seeds lack them: fp (1 of 2)." in below
    found = numbers(store)
    assert found["flatness_seeds"].to_dict() == {"fp": 1, "qat": 1}
    assert np.isnan(found.loc["fp", "sharpness"])


@pytest.mark.parametrize(
    ("classes", "id_share", "has_collapsed"),
    [(0, 0.67, True), (0, 0.68, False), (2, 0.795, True), (2, 0.805, False)],
)
def test_a_method_has_collapsed_that_lost_a_quarter_of_what_is_above_chance(
    tmp_path, classes, id_share, has_collapsed
):
    """Of 90% at no known chance to 67.5%; of 90% at a chance of 50% to 80%."""
    store = Store(tmp_path)
    put(store, FP, classes=classes)
    put(store, QAT, id_share=id_share, classes=classes)
    _, rows, below = table(store)
    assert (rows["qat"]["extra gap [95%, these runs]"] == "collapsed") == has_collapsed
    assert ("collapsed: ID has lost more than a quarter" in below) == has_collapsed
    row = numbers(store).loc["qat"]
    assert row["collapsed"] == has_collapsed
    assert np.isfinite([row["extra_gap"], row["extra_gap_low"], row["extra_gap_high"]]).all()
    of_json = {row["method"]: row for row in json.loads(render(store, None, "json", "method"))[0]["rows"]}
    assert of_json["qat"]["collapsed"] is has_collapsed
    assert of_json["fp"]["collapsed"] is False
    assert ("collapsed" in render(store, None, "latex", "method")) == has_collapsed


@pytest.mark.parametrize(
    ("audit", "share"),
    [
        ({"floating": ["up weight", "up input"], "floating_weights": 12.4}, "12%"),
        ({"floating": ["position parameter"], "floating_weights": 0.4}, None),
        ({"floating": ["up weight", "up input", "token parameter"]}, "2 tensors"),
        ({"floating": ["up input"]}, None),
        ({}, None),
    ],
)
def test_weights_in_floating_point_are_marked(tmp_path, audit, share):
    """Inputs alone are no weights, and of `fp` all is in floating point."""
    store = Store(tmp_path)
    put(store, FP, audit={"floating": ["up weight"], "floating_weights": 100.0})
    put(store, QAT, audit=audit)
    _, rows, below = table(store)
    assert set(rows) == {"fp", "qat ‡" if share else "qat"}
    assert (f"‡: weights that stay in floating point: qat 4: {share}." in below) == bool(share)
    assert ("‡" in below) == bool(share)
    by_shift = render(store, None, "md", "shift")
    assert ("qat 4 ‡" in by_shift) == (f"qat 4: {share}." in by_shift) == bool(share)
    assert "fp ‡" not in by_shift


def test_rows_without_outcomes_are_named_and_leave_the_others_alone(tmp_path):
    store, whole = Store(tmp_path / "some"), Store(tmp_path / "all")
    for each in (store, whole):
        for cell in (FP, QAT, replace(QAT, method="sam")):
            put(each, cell)
    alone = numbers(whole).loc["qat", "extra_gap"]
    store.outcomes_path(replace(QAT, method="sam")).unlink()
    _, rows, below = table(store)
    assert set(rows) == {"fp", "qat", "sam §"}
    assert "beside each record)" in below
    assert ": sam 4." in below
    assert rows["sam §"]["extra gap [95%, these runs]"] == "-"
    assert "±" not in rows["sam §"]["ID"]
    assert numbers(store).loc["qat", "extra_gap"] == alone
    assert numbers(store)["seeds_with_outcomes"].to_dict() == {"fp": 1, "qat": 1, "sam": 0}
    assert "§" not in table(whole)[2]


def test_columns_and_notes_without_a_value_vanish(tmp_path):
    store = Store(tmp_path)
    put(store, FP)
    header, _, below = table(store)
    assert not {"λmax", "sharp", "extra gap [95%, these runs]"} & set(header)
    assert not [word for word in ("λmax", "sharp", "extra gap") if word in below]
    put(store, QAT, flatness=Flatness(quantized=space_flatness(2.0)))
    header, rows, below = table(store)
    assert rows["fp"]["λmax"] == "-"
    assert rows["qat"]["λmax"] == "2"
    assert "sharp: mean rise" in below


def test_val_is_shown_where_a_setting_is_to_be_chosen_and_on_request(tmp_path):
    store = Store(tmp_path)
    for cell in (FP, QAT, replace(QAT, method_args=(("strength", 0.5),), quant="3")):
        put(store, cell)
    header, _, below = table(store)
    assert "val" not in header
    assert "val:" not in below
    asked = render(store, None, "md", "method", columns=("val",))
    assert len(re.findall(r"\| +90\.0 \|", asked)) == 3
    assert "val: as ID" in asked
    put(store, replace(QAT, method_args=(("strength", 0.7),)), id_share=0.8)
    header, rows, below = table(store)
    assert header[:5] == ["method", "bits", "val", "ID", "OOD"]
    assert (rows["qat"]["val"], rows["qat(strength=0.7)"]["val"]) == ("90.0", "80.0")
    assert numbers(store)["val_top1"]["qat(strength=0.7)"] == pytest.approx(80)
    assert "which alone may choose a setting" in below


def test_means_over_domains_are_compared_with_those_of_full_precision(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for target, share in (("art", 0.3), ("sketch", 0.9)):
        put(store, replace(FP, suite=f"f@{target}"))
        put(store, replace(QAT, suite=f"f@{target}"), id_share=share)
    of_qat = numbers(store).loc["qat"].set_index("domain")["collapsed"]
    assert of_qat.to_dict() == {"art": True, "sketch": False, "mean": True}


def test_the_documentation_names_every_column(tmp_path):
    store = Store(tmp_path)
    for target in ("art", "sketch"):
        put(store, replace(FP, suite=f"f@{target}"))
    for cell in (FP, QAT):
        street_records.put(store, replace(cell, suite="streets"), street_records.matrices())
    columns = set(pd.read_csv(StringIO(render(store, None, "csv", "method")))) - {"section"}
    text = (ROOT / "docs" / "results.md").read_text().partition("### Columns of CSV and JSON")[2]
    named = set(re.findall(r"`(\w+)`", text.partition("###")[0]))
    of_errors = re.compile(r"(?<=METRIC)_(stderr|low|high|seed_sd)$")
    general = {of_errors.sub("", re.sub("top1|miou", "METRIC", column)) for column in columns}
    assert general - named == set()
    of_robustness = {"mce", "mce_stderr", "mce_half_width", "relative_mce", "effective_robustness"}
    elsewhere = {"section", "title", "protocol", "rows", "problems", "top1", "miou", "family", "severity"}
    of_files = ("id_METRIC", "ood_METRIC", "agreement", "latency_ms", "seeds", "images")
    verified = {f"deployed_{name}" for name in of_files}
    assert named - general == of_robustness | elsewhere | verified
