"""The gate: its exit codes, and that it needs size and significance both."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from flatqat.bench.gate.baseline import write_baseline
from flatqat.bench.gate.check import IMPROVED, INCOMPLETE, OK, REGRESSED, check
from flatqat.bench.records.store import Store
from flatqat.errors import StoreError
from flatqat.spec import Record
from tests.helpers.gate_records import CELL, SHIFTS, N, outcomes, store_with


def flipped(right: np.ndarray, lost: int = 0, won: int = 0) -> np.ndarray:
    """`lost` right images made wrong, and `won` wrong ones right."""
    new = right.copy()
    new[np.flatnonzero(right)[:lost]] = False
    new[np.flatnonzero(~right)[:won]] = True
    return new


@pytest.fixture
def baseline(tmp_path):
    path = tmp_path / "baseline.json"
    assert write_baseline(store_with(tmp_path / "old", outcomes()), path) == 1
    return path


def gate(folder, baseline, now, max_drop=0.5, p=0.01, two_sided=False):
    return check(store_with(folder, now), baseline, max_drop, p, two_sided)


def test_the_same_results_pass(tmp_path, baseline):
    code, verdicts = gate(tmp_path / "new", baseline, outcomes())
    assert code == OK
    assert {v.what for v in verdicts} == {"id", "ood", "weather", "blur"}
    assert all(v.before == v.now and v.p == 1 for v in verdicts)


def test_a_large_significant_drop_trips(tmp_path, baseline):
    now = outcomes()
    now["id"] = flipped(now["id"], lost=100)
    code, verdicts = gate(tmp_path / "new", baseline, now)
    assert code == REGRESSED
    assert [v.what for v in verdicts if v.verdict == "regressed"] == ["id"]
    (tripped,) = (v for v in verdicts if v.what == "id")
    assert tripped.now - tripped.before == pytest.approx(-100 * 100 / N)


@pytest.mark.parametrize(("shift", "family"), [("fog/1", "weather"), ("blur/1", "blur")])
def test_a_drop_of_one_family_trips(tmp_path, baseline, shift, family):
    now = outcomes()
    now[shift] = flipped(now[shift], lost=100)
    code, verdicts = gate(tmp_path / "new", baseline, now)
    assert code == REGRESSED
    assert {v.what for v in verdicts if v.verdict == "regressed"} == {"ood", family}


def test_a_significant_drop_within_the_tolerance_passes(tmp_path, baseline):
    now = outcomes()
    now["id"] = flipped(now["id"], lost=30)
    assert gate(tmp_path / "new", baseline, now, max_drop=2.0)[0] == OK
    assert gate(tmp_path / "new", baseline, now, max_drop=1.0)[0] == REGRESSED


@pytest.mark.parametrize("right", [1600, 1664])
def test_a_drop_of_just_the_tolerance_passes_whatever_its_last_digit(tmp_path, right):
    """10 of 2,000 images are 0.5 points; the two percentages of 1,664 and 1,654 differ by a little more."""
    old = dict.fromkeys(SHIFTS, np.arange(N) < right)
    path = tmp_path / "baseline.json"
    write_baseline(store_with(tmp_path / "old", old), path)
    code, verdicts = gate(tmp_path / "new", path, old | {"id": np.arange(N) < right - 10})
    (row,) = (v for v in verdicts if v.what == "id")
    assert (row.before - row.now > 0.5) is (right == 1664)
    assert row.p < 0.01
    assert code == OK


def test_a_large_drop_that_may_be_chance_passes(tmp_path, baseline):
    """2.5 points down, but 400 of 2,000 images changed sides: McNemar's p is 0.014, times four of Holm."""
    right = outcomes()["id"]
    now = outcomes()
    now["id"] = flipped(right, lost=225, won=175)
    code, verdicts = gate(tmp_path / "new", baseline, now)
    (row,) = (v for v in verdicts if v.what == "id")
    assert row.now - row.before == pytest.approx(-2.5)
    assert 0.01 < row.p < 0.2
    assert code == OK


def test_p_is_exact_mcnemar_times_four_of_holm(tmp_path, baseline):
    now = outcomes()
    now["id"] = flipped(now["id"], lost=230, won=170)
    code, verdicts = gate(tmp_path / "new", baseline, now)
    (row,) = (v for v in verdicts if v.what == "id")
    alone = binomtest(170, 400).pvalue
    assert alone < 0.01 < 4 * alone
    assert row.p == pytest.approx(4 * alone, rel=1e-9)  # two codes for the same binomial tail
    assert code == OK


def test_shifts_outside_the_headline_do_not_gate(tmp_path, baseline):
    now = outcomes()
    now["spatter/1"] = flipped(now["spatter/1"], lost=500)
    assert gate(tmp_path / "new", baseline, now)[0] == OK


def test_improvement_trips_only_when_asked(tmp_path, baseline):
    now = outcomes()
    now["id"] = flipped(now["id"], won=100)
    assert gate(tmp_path / "new", baseline, now)[0] == OK
    assert gate(tmp_path / "new", baseline, now, two_sided=True)[0] == IMPROVED


@pytest.mark.parametrize("why", ["absent", "failed", "fewer images"])
def test_what_was_not_measured_is_incomplete(tmp_path, baseline, why):
    store = Store(tmp_path / "new")
    store.root.mkdir()
    if why == "failed":
        store.write_record(Record(cell=CELL, status="failed", reason="nan"))
    if why == "fewer images":
        store_with(tmp_path / "new", outcomes(n=100))
    code, verdicts = check(store, baseline, 0.5, 0.01, False)
    assert code == INCOMPLETE
    assert [v.verdict for v in verdicts] == ["missing"]


def test_a_regression_outranks_a_missing_cell(tmp_path):
    old, path = store_with(tmp_path / "old", outcomes()), tmp_path / "b.json"
    store_with(tmp_path / "old", outcomes(), replace(CELL, seed=1))
    write_baseline(old, path)
    now = outcomes()
    now["id"] = flipped(now["id"], lost=200)
    assert gate(tmp_path / "new", path, now)[0] == REGRESSED


def test_a_baseline_of_nothing_is_refused(tmp_path):
    with pytest.raises(StoreError, match="got none"):
        write_baseline(Store(tmp_path), tmp_path / "b.json")


def test_a_single_image_has_no_error_to_test_with(tmp_path):
    """Outside of the headline it does not matter."""
    now, path = outcomes(), tmp_path / "b.json"
    now["spatter/1"] = now["spatter/1"][:1]
    write_baseline(store_with(tmp_path / "aside", now), path)
    assert gate(tmp_path / "aside", path, now)[0] == OK
    now["fog/1"] = now["fog/1"][:1]
    write_baseline(store_with(tmp_path / "one", now), path)
    code, verdicts = gate(tmp_path / "one", path, now)
    assert (code, [v.what for v in verdicts]) == (INCOMPLETE, ["a single image"])


def test_without_a_headline_id_alone_is_compared(tmp_path):
    aside = {s: replace(info, in_mean=s == "id") for s, info in SHIFTS.items()}
    store, path = store_with(tmp_path / "s", outcomes(), shifts=aside), tmp_path / "b.json"
    write_baseline(store, path)
    code, verdicts = check(store, path, 0.5, 0.01, False)
    assert (code, [v.what for v in verdicts]) == (OK, ["id"])


def test_a_baseline_that_is_not_there_says_so(tmp_path):
    with pytest.raises(StoreError, match=r"nowhere.json: cannot be read: No such file .*; .*make one"):
        check(Store(tmp_path), tmp_path / "nowhere.json", 0.5, 0.01, False)


def test_a_baseline_from_the_future_says_what_it_is(tmp_path):
    path = tmp_path / "b.json"
    path.write_text('{"schema": 9, "cells": {}}')
    with pytest.raises(StoreError, match=r"b\.json: schema: expected 2 or older, got 9; update flatqat"):
        check(Store(tmp_path), path, 0.5, 0.01, False)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"schema": 9, "cells": {}}',
        '{"schema": 1, "cells": {"a": {}}}',
        '{"schema": 1, "cells": {"a": {"label": "x", "shifts": {}, "images": {}, "correct": {}}}}',
        '{"schema": 1, "cells": {"a": {"label": "x", "images": {"id": 9}, "correct": {"id": "AA=="}}}}',
    ],
)
def test_a_damaged_baseline_is_refused(tmp_path, text):
    path = tmp_path / "b.json"
    path.write_text(text)
    with pytest.raises(StoreError, match=r"b\.json"):
        check(Store(tmp_path), path, 0.5, 0.01, False)
