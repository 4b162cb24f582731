"""Differences and intervals against formulas written out, and against the chain of studies and the gate."""

import io
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from flatqat.bench.diff.as_text import as_csv, as_markdown
from flatqat.bench.diff.sides import diff
from flatqat.bench.gate.compare import Rules, compare
from flatqat.bench.records.sections import sections
from flatqat.bench.records.store import Store
from flatqat.bench.study.study import studies
from flatqat.errors import StoreError, UsageError
from flatqat.metrics.holm import holm
from flatqat.metrics.stacked import Stacked
from flatqat.spec import Record
from tests.helpers import street_records
from tests.helpers.gate_records import CELL, SHIFTS, flipped, outcomes, store_with
from tests.helpers.records import shift_info
from tests.helpers.study_records import CELL as STUDIED
from tests.helpers.study_records import SEEDS, put, right_of

ANCHOR = replace(CELL, method="anchor")
BETTER = {shift: flipped(right, lost=20, won=90) for shift, right in outcomes().items()}


def paired_t(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float, float]:
    """The mean of B - A in points, its 95% interval and its p-value, by Student's paired test."""
    d = 100 * (b.astype(float) - a)
    stderr = d.std(ddof=1) / np.sqrt(len(d))
    reach = stats.t.ppf(0.975, len(d) - 1) * stderr
    return d.mean(), d.mean() - reach, d.mean() + reach, stats.ttest_1samp(d, 0).pvalue


def mean_of_shifts(right: dict[str, np.ndarray]) -> np.ndarray:
    return np.mean([right["fog/1"], right["blur/1"]], axis=0)


@pytest.fixture
def two_folders(tmp_path) -> tuple[str, str]:
    store_with(tmp_path / "a", outcomes())
    store_with(tmp_path / "b", BETTER)
    return str(tmp_path / "a"), str(tmp_path / "b")


@pytest.fixture
def two_methods(tmp_path) -> tuple[str, str]:
    store_with(tmp_path / "r", outcomes())
    store_with(tmp_path / "r", BETTER, ANCHOR)
    return "qat", "anchor"


@pytest.mark.parametrize("sides", ["two_folders", "two_methods"])
def test_with_one_seed_it_is_the_paired_test_over_images(request, tmp_path, sides):
    words = request.getfixturevalue(sides)
    found = diff(*words, tmp_path / "r")
    by_hand = {
        "id": paired_t(outcomes()["id"], BETTER["id"]),
        "ood": paired_t(mean_of_shifts(outcomes()), mean_of_shifts(BETTER)),
        "weather": paired_t(outcomes()["fog/1"], BETTER["fog/1"]),
        "blur": paired_t(outcomes()["blur/1"], BETTER["blur/1"]),
    }
    assert {row.what for row in found.rows} == by_hand.keys()
    for row in found.rows:
        value, low, high, p = by_hand[row.what]
        e = row.estimate
        assert (e.value, e.low, e.high) == pytest.approx((value, low, high), abs=1e-9)
        assert e.p == pytest.approx(p, rel=1e-6)
        assert row.b - row.a == pytest.approx(value, abs=1e-9)
        assert row.of_these_runs
    assert found.p_values() == holm([row.estimate.p for row in found.rows])
    assert list(pd.read_csv(io.StringIO(as_csv(found)))["p"]) == pytest.approx(found.p_values(), rel=1e-5)


def test_two_methods_over_seeds_have_the_numbers_of_a_study_of_two(tmp_path):
    store = Store(tmp_path)
    for place, method in enumerate(("qat", "sam")):
        for seed in SEEDS:
            cell = replace(STUDIED, method=method, seed=seed)
            put(store, cell, right_of(seed, 0.1, {"blur": 0.05 * place}, [place]))
    (study,) = studies(sections(store.records())[0], store, "qat")
    found = diff("qat", "sam", tmp_path)
    names = {"id": "ID", "ood": "OOD"}
    assert len(found.rows) == 4
    for row in found.rows:
        assert row.seeds == (3, 3)
        theirs = study.find("sam", names.get(row.what, row.what))
        assert row.estimate == theirs.estimate


def test_two_folders_over_seeds_have_the_numbers_of_the_gate(tmp_path):
    sides = [{seed: outcomes(seed + 10 * place) for seed in range(2 + place)} for place in range(2)]
    for name, side in zip("ab", sides, strict=True):
        for seed, right in side.items():
            store_with(tmp_path / name, right, replace(CELL, seed=seed))
    found = diff(str(tmp_path / "a"), str(tmp_path / "b"), tmp_path)
    stacked = [{seed: Stacked.of(right) for seed, right in side.items()} for side in sides]
    expected = compare("x", SHIFTS, *stacked, Rules(retraining_sd=0))
    assert {row.what: (row.estimate, row.seeds) for row in found.rows} == {
        row.what: (row.estimate, (2, 3)) for row in expected
    }
    assert not found.rows[0].of_these_runs


def test_seeds_with_images_of_their_own_have_all_error_in_their_scatter(tmp_path):
    changes = []
    for seed in SEEDS:
        before, now = outcomes(seed), outcomes(seed + 10)
        store_with(tmp_path, before, replace(CELL, seed=seed), split="-own")
        store_with(tmp_path, now, replace(ANCHOR, seed=seed), split="-own")
        changes.append(100 * (now["id"].mean() - before["id"].mean()))
    of_id = diff("qat", "anchor", tmp_path).rows[0].estimate
    assert of_id.image_variance == 0
    assert of_id.seed_variance >= np.var(changes, ddof=1) / len(SEEDS)  # or what images alone make it


def test_rows_by_shift(two_folders, tmp_path):
    found = diff(*two_folders, tmp_path / "r", "shift")
    assert [row.what for row in found.rows] == ["id", "ood", "blur/1", "fog/1"]


def test_methods_are_compared_at_the_same_bits_and_a_single_row_with_all(tmp_path):
    for cell in (CELL, replace(CELL, quant="3"), ANCHOR, replace(CELL, method="fp", quant="fp")):
        store_with(tmp_path, outcomes(), cell)

    def pairs(a: str, b: str) -> tuple[list[str], list[tuple[str, str]]]:
        (part,) = diff(a, b, tmp_path).parts
        return list(dict.fromkeys(row.cell for row in part.rows)), list(part.missing)

    alone = ("qat 3", "B has no row to compare it with")
    assert pairs("qat", "anchor") == (["qat 4 → anchor 4"], [alone])
    assert pairs("anchor", "qat") == (["anchor 4 → qat 4"], [("qat 3", "A has no row to compare it with")])
    assert sorted(pairs("fp", "qat")[0]) == ["fp → qat 3", "fp → qat 4"]
    assert sorted(pairs("qat", "fp")[0]) == ["qat 3 → fp", "qat 4 → fp"]
    assert pairs("qat", "qat 4") == (["qat 3 → qat 4"], [])
    assert pairs("qat 4", "qat 3") == (["qat 4 → qat 3"], [])
    assert pairs("m-qat-3", f"{ANCHOR.id[:6]}") == (["qat 3 → anchor 4"], [])


def test_what_cannot_be_compared_is_said_with_the_reason(tmp_path):
    sam, gone, ema = (replace(CELL, method=name) for name in ("sam", "gone", "ema"))
    for cell in (CELL, sam, gone, ema):
        store_with(tmp_path / "a", outcomes(), cell)
    store_with(tmp_path / "b", outcomes(), data="other")
    store_with(tmp_path / "b", outcomes(n=7), sam)
    store_with(tmp_path / "b", outcomes(), replace(CELL, method="new"))
    Store(tmp_path / "b").write_record(Record(cell=ema, status="failed", reason="the loss is nan"))
    Store(tmp_path / "a").write_record(Record(cell=replace(ema, quant="3"), status="failed", reason="no"))
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    found = diff(a, b, tmp_path)
    assert found.rows == []
    reasons = dict(found.parts[0].missing)
    assert reasons["qat 4"] == "the images differ: data d → other"
    assert reasons["sam 4"] == "the number of images of id differs: 2,000 → 7"
    assert reasons["ema 4"].startswith("seed 0 failed: the loss is nan in B (")
    assert reasons[replace(ema, quant="3").label] == f"failed: no in A ({a})"
    assert next(reason for cell, reason in reasons.items() if cell.startswith("gone 4")).startswith(
        f"not in B ({b})"
    )
    assert next(reason for cell, reason in reasons.items() if cell.startswith("new 4")) == f"not in A ({a})"


def test_a_cell_that_failed_in_the_first_folder_alone_is_named_once(tmp_path):
    store_with(tmp_path / "a", outcomes())
    sam = replace(CELL, method="sam")
    Store(tmp_path / "a").write_record(Record(cell=sam, status="failed", reason="the loss is nan"))
    store_with(tmp_path / "b", outcomes())
    store_with(tmp_path / "b", outcomes(), sam)
    found = diff(str(tmp_path / "a"), str(tmp_path / "b"), tmp_path)
    assert found.parts[0].missing == [(sam.label, f"failed: the loss is nan in A ({tmp_path / 'a'})")]


def test_a_number_that_is_not_defined_is_an_empty_field(two_folders, tmp_path):
    found = diff(*two_folders, tmp_path)
    (part,) = found.parts
    row = replace(part.rows[0], a=float("nan"))
    table = pd.read_csv(io.StringIO(as_csv(replace(found, parts=[replace(part, rows=[row])]))))
    assert "nan" not in as_csv(replace(found, parts=[replace(part, rows=[row])]))
    assert np.isnan(table["a"][0])
    assert table["b"][0] == pytest.approx(row.b, rel=1e-5)


def test_rows_that_cannot_be_compared(tmp_path):
    store_with(tmp_path, outcomes())
    other = {**SHIFTS, "fog/1": shift_info("clouds", severity=1)}
    store_with(tmp_path, outcomes(), ANCHOR, shifts=other)
    store_with(tmp_path, outcomes(), replace(CELL, method="sam", seed=1))
    store = store_with(tmp_path, outcomes(), replace(CELL, method="ema"))
    store.outcomes_path(replace(CELL, method="ema")).unlink()
    store.write_record(replace(store.record(replace(CELL, method="ema")), outcomes_sha256=""))

    def reason(b: str) -> str:
        found = diff("qat", b, tmp_path)
        assert found.rows == []
        ((_, why),) = found.parts[0].missing
        return why

    assert reason("anchor") == "the shifts differ, such as fog/1"
    assert reason("sam") == "no seed in common: 0 and 1"
    assert reason("ema") == "the outcomes of images are not stored"


def test_a_word_is_a_folder_or_a_row(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store_with(tmp_path / "results", outcomes())
    store_with(tmp_path / "results", BETTER, ANCHOR)
    for name in ("old", "qat"):
        store_with(tmp_path / name, outcomes())
    results = tmp_path / "results"
    assert diff("old", "results", results).a == "old"
    assert diff("./qat", "results", results).rows
    assert diff("qat 4", "anchor", results).rows
    for a, b, message in (
        (
            "qat",
            "anchor",
            "'qat': expected a folder or a row of .*; name the folder ./qat, or the row",
        ),
        (
            "old",
            "anchor",
            "expected two folders, or two rows .* the folder 'old' and the row 'anchor'",
        ),
        ("qta 4", "anchor", "unknown folder, or row of .*, 'qta 4': expected one of anchor, .*mean 'qat 4'"),
        ("anchor", "anchor 4", "expected two different rows of .*, got 'anchor' and 'anchor 4'"),
        ("old", "./old", "expected two different folders, got old and ./old"),
    ):
        with pytest.raises(UsageError, match=message):
            diff(a, b, results)
    with pytest.raises(StoreError, match="results folder no/where: expected a folder, found none"):
        diff("no/where", "old", results)
    with pytest.raises(UsageError, match=r"unknown folder, or row of absent, 'x': expected none, since"):
        diff("x", "old", tmp_path.joinpath("absent").relative_to(tmp_path))


def test_a_difference_of_miou_is_that_of_the_scores(tmp_path):
    store, sam = Store(tmp_path), replace(street_records.FP, method="sam", quant="4")
    scores = []
    for cell, loss in ((street_records.FP, 0.0), (sam, 0.1)):
        street_records.put(store, cell, street_records.matrices(loss=loss))
        scores.append(store.record(cell).scores)
    found = {row.what: row for row in diff("fp", "sam", tmp_path, "shift").rows}
    assert found.keys() == {"id", "ood", "fog", "night"}
    for shift in ("id", "fog", "night"):
        expected = [of_record[shift]["miou"].value for of_record in scores]
        # the jackknife's mean is the metric up to rounding
        assert (found[shift].a, found[shift].b) == pytest.approx(expected, abs=1e-9)
        assert found[shift].estimate.value == pytest.approx(expected[1] - expected[0], abs=1e-9)
        assert found[shift].estimate.high < 0


def test_identical_outcomes_leave_nothing_open_and_take_no_part_in_the_correction(tmp_path):
    """Both sides retrained with other seeds that scatter, which says nothing of rows without a difference."""
    for name in "ab":
        for seed in range(2):
            right = outcomes(seed)
            changed = {**right, "blur/1": flipped(right["blur/1"], lost=30)} if name == "b" else right
            store_with(tmp_path / name, changed, replace(CELL, seed=seed))
    found = diff(str(tmp_path / "a"), str(tmp_path / "b"), tmp_path)
    rows = {row.what: row for row in found.rows}
    assert {what for what, row in rows.items() if row.identical} == {"id", "weather"}
    p_values = dict(zip(rows, found.p_values(), strict=True))
    assert [p_values["ood"], p_values["blur"]] == holm([rows["ood"].estimate.p, rows["blur"].estimate.p])
    assert (rows["id"].estimate.low, rows["id"].estimate.high, p_values["id"]) == (0, 0, 1)
    text = as_markdown(found)
    assert len(re.findall(r"\| +identical \| +\|", text)) == 2
    assert "correction over 2 rows" in text
    assert "identical: every image has the same outcome on both sides" in text


def test_of_identical_rows_no_seeds_are_counted(two_folders, tmp_path):
    store_with(tmp_path / "same", outcomes())
    said = "one seed on both sides: over images, for these trainings alone"
    assert said in as_markdown(diff(*two_folders, tmp_path))
    assert said not in as_markdown(diff(two_folders[0], str(tmp_path / "same"), tmp_path))


def test_images_that_change_places_are_not_identical(tmp_path):
    right = outcomes()
    swapped = {**right, "fog/1": right["blur/1"], "blur/1": right["fog/1"]}
    store_with(tmp_path / "a", right)
    store_with(tmp_path / "b", swapped)
    found = {row.what: row for row in diff(str(tmp_path / "a"), str(tmp_path / "b"), tmp_path).rows}
    assert [what for what, row in found.items() if row.identical] == ["id"]
    assert found["ood"].estimate.value == 0


def test_rows_of_older_revisions_are_named_as_in_reports_or_by_their_cells(tmp_path):
    for code, right in (("a" * 12, outcomes()), ("b" * 12, BETTER)):
        for seed in range(2):
            cell = replace(CELL, method="mine", plugins=code, seed=seed)
            store = store_with(tmp_path, right, cell)
            store.write_record(replace(store.record(cell), last_run=code))
    older = replace(CELL, method="mine", plugins="a" * 12)
    name, latest = "mine (revision aaaaaa)", "mine (revision bbbbbb, latest)"
    expected = diff("mine", name, tmp_path).rows
    assert [row.seeds for row in expected] == [(2, 2)] * 4
    assert expected[0].cell == f"mine 4 → {name} 4"
    assert expected[0].estimate.value < 0
    typed = "mine (revision bbbbbb)"
    for words in ((latest, name), ("mine 4", f"{name} 4"), (latest, f"{name} 4"), (f"{typed} 4", name)):
        assert [row.estimate for row in diff(*words, tmp_path).rows] == [row.estimate for row in expected]
    assert diff(name, typed, tmp_path).rows[0].cell == f"{name} 4 → {latest} 4"
    for cells in (older.id, older.label):
        (row, *_) = diff("mine", cells, tmp_path).rows
        assert row.cell == expected[0].cell
        assert row.seeds == (1, 1)
    with pytest.raises(UsageError, match=re.escape(f"did you mean '{name}'")):
        diff("mine", "mine (revision aaaaa)", tmp_path)


def test_rows_that_nothing_is_compared_with_have_the_order_of_the_report(tmp_path):
    store_with(tmp_path / "a", outcomes())
    others = [replace(CELL, method=name) for name in ("anchor", "sam", "ema", "swad", "lookahead")]
    for cell in (CELL, *others):
        store_with(tmp_path / "b", outcomes(), cell)
    (part,) = diff(str(tmp_path / "a"), str(tmp_path / "b"), tmp_path).parts
    (section,) = sections(Store(tmp_path / "b").records())
    order = [" ".join(key) for key in section.rows if key[0] != "qat"]
    assert [name for name, _ in part.missing] == order
