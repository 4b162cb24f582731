"""The gate: its exit codes, and that it needs size and significance both."""

from dataclasses import replace

import pytest
from scipy.stats import t as student

from flatqat.bench.gate.baseline import write_baseline
from flatqat.bench.gate.check import check, code_of
from flatqat.bench.gate.compare import Rules
from flatqat.bench.records.store import Store
from flatqat.errors import StoreError
from flatqat.exit_codes import IMPROVED, INCOMPLETE, OK, REGRESSED
from flatqat.spec import Record
from tests.helpers.gate_records import CELL, SHIFTS, N, flipped, outcomes, store_with

IMAGES_ALONE = Rules(retraining_sd=0)


@pytest.fixture
def baseline(tmp_path):
    path = tmp_path / "baseline.json"
    assert write_baseline(store_with(tmp_path / "old", outcomes()), path) == (1, [])
    return path


def gate(folder, baseline, now, **rules):
    return check(store_with(folder, now), baseline, replace(IMAGES_ALONE, **rules))


def test_the_same_results_pass(tmp_path, baseline):
    done = check(store_with(tmp_path / "new", outcomes()), baseline)
    assert done.code == OK
    assert {v.what for v in done.verdicts} == {"id", "ood", "weather", "blur"}
    assert all(v.before == v.now and v.p == 1 for v in done.verdicts)
    assert (done.missing, done.differences, done.extra) == ([], {}, [])


def test_a_large_significant_drop_trips(tmp_path, baseline):
    now = outcomes()
    now["id"] = flipped(now["id"], lost=100)
    done = gate(tmp_path / "new", baseline, now)
    assert done.code == REGRESSED
    (tripped,) = (v for v in done.verdicts if v.verdict == "regressed")
    assert tripped.what == "id"
    assert tripped.change == pytest.approx(-100 * 100 / N)


@pytest.mark.parametrize(("shift", "family"), [("fog/1", "weather"), ("blur/1", "blur")])
def test_a_drop_of_one_family_trips(tmp_path, baseline, shift, family):
    now = outcomes()
    now[shift] = flipped(now[shift], lost=100)
    done = gate(tmp_path / "new", baseline, now)
    assert done.code == REGRESSED
    assert {v.what for v in done.verdicts if v.verdict == "regressed"} == {"ood", family}


def test_a_significant_drop_within_the_tolerance_passes(tmp_path, baseline):
    now = outcomes()
    now["id"] = flipped(now["id"], lost=30)
    assert gate(tmp_path / "new", baseline, now, max_drop=2.0).code == OK
    assert gate(tmp_path / "new", baseline, now, max_drop=1.0).code == REGRESSED


def test_a_large_drop_that_may_be_chance_passes(tmp_path, baseline):
    """2.5 points down, but 400 of 2,000 images changed sides."""
    now = outcomes()
    now["id"] = flipped(now["id"], lost=225, won=175)
    done = gate(tmp_path / "new", baseline, now)
    (row,) = (v for v in done.verdicts if v.what == "id")
    assert row.change == pytest.approx(-2.5)
    assert 0.01 < row.p < 0.2
    assert done.code == OK


def test_p_of_one_seed_is_that_of_a_paired_t_test_times_four_of_holm(tmp_path, baseline):
    right = outcomes()
    now = right | {"id": flipped(right["id"], lost=230, won=170)}
    done = gate(tmp_path / "new", baseline, now)
    (row,) = (v for v in done.verdicts if v.what == "id")
    difference = 100 * (now["id"].astype(float) - right["id"])
    alone = 2 * student.cdf(difference.mean() / (difference.std(ddof=1) / N**0.5), N - 1)
    assert alone < 0.01 < 4 * alone
    assert row.p == pytest.approx(4 * alone, rel=1e-6)
    assert done.code == OK


def test_a_tolerance_for_retraining_is_two_variances(tmp_path, baseline):
    """5 points trip if images alone are random, and with 0.75 points, but not with 3 points."""
    now = outcomes()
    now["id"] = flipped(now["id"], lost=100)
    codes = [gate(tmp_path / "new", baseline, now, retraining_sd=sd).code for sd in (0, 0.75, 3)]
    assert codes == [REGRESSED, REGRESSED, OK]
    (row,) = (v for v in gate(tmp_path / "new", baseline, now, retraining_sd=3).verdicts if v.what == "id")
    image_variance = (100 * (now["id"].astype(float) - outcomes()["id"])).var(ddof=1) / N
    alone = 2 * student.cdf(-5 / (2 * 3**2 + image_variance) ** 0.5, 1e9)
    assert row.p == pytest.approx(min(1, 4 * alone), rel=1e-3)


def test_shifts_outside_the_headline_do_not_gate(tmp_path, baseline):
    now = outcomes()
    now["spatter/1"] = flipped(now["spatter/1"], lost=500)
    assert gate(tmp_path / "new", baseline, now).code == OK


def test_improvement_trips_only_when_asked(tmp_path, baseline):
    now = outcomes()
    now["id"] = flipped(now["id"], won=100)
    assert gate(tmp_path / "new", baseline, now).code == OK
    assert gate(tmp_path / "new", baseline, now, two_sided=True).code == IMPROVED


@pytest.mark.parametrize(
    ("why", "said"),
    [
        ("absent", "not in the results"),
        ("failed", "seed 0 failed: nan"),
        ("fewer images", "the number of images of blur/1 differs: 2,000 → 100"),
        ("more shifts", "the shifts differ, such as spatter/1"),
        ("version", "the version of s differs: 1 → 2"),
    ],
)
def test_what_was_not_measured_is_incomplete(tmp_path, baseline, why, said):
    store = Store(tmp_path / "new")
    store.root.mkdir()
    if why == "failed":
        store.write_record(Record(cell=CELL, status="failed", reason="nan"))
    if why == "fewer images":
        store_with(tmp_path / "new", outcomes(n=100))
    if why == "more shifts":
        fewer = {s: info for s, info in SHIFTS.items() if s != "spatter/1"}
        store_with(tmp_path / "new", {s: outcomes()[s] for s in fewer}, shifts=fewer)
    if why == "version":
        store_with(tmp_path / "new", outcomes(), replace(CELL, suite_version=2))
    done = check(store, baseline)
    assert done.code == INCOMPLETE
    assert done.verdicts == []
    ((_, reason),) = done.missing
    assert reason == said


def test_a_regression_outranks_a_missing_cell(tmp_path):
    old, path = store_with(tmp_path / "old", outcomes()), tmp_path / "b.json"
    store_with(tmp_path / "old", outcomes(), replace(CELL, quant="2"))
    write_baseline(old, path)
    now = outcomes()
    now["id"] = flipped(now["id"], lost=200)
    done = gate(tmp_path / "new", path, now)
    assert done.code == REGRESSED
    assert len(done.missing) == 1


def test_a_check_of_no_row_is_incomplete():
    assert code_of([], Rules()) == INCOMPLETE


def test_a_baseline_of_nothing_is_refused(tmp_path):
    with pytest.raises(StoreError, match="got none"):
        write_baseline(Store(tmp_path), tmp_path / "b.json")


def test_what_failed_is_not_in_a_baseline_and_is_named(tmp_path):
    store = store_with(tmp_path / "s", outcomes())
    failed = Record(cell=replace(CELL, seed=1), status="failed", reason="nan")
    store.write_record(failed)
    assert write_baseline(store, tmp_path / "b.json") == (1, [failed])


def test_a_single_image_has_no_error_to_test_with(tmp_path):
    """Outside of the headline it does not matter."""
    now, path = outcomes(), tmp_path / "b.json"
    now["spatter/1"] = now["spatter/1"][:1]
    write_baseline(store_with(tmp_path / "aside", now), path)
    assert gate(tmp_path / "aside", path, now).code == OK
    now["fog/1"] = now["fog/1"][:1]
    write_baseline(store_with(tmp_path / "one", now), path)
    done = gate(tmp_path / "one", path, now)
    assert (done.code, [reason for _, reason in done.missing]) == (
        INCOMPLETE,
        ["fog/1 has a single image, and two are needed"],
    )


def test_without_a_headline_id_alone_is_compared(tmp_path):
    aside = {s: replace(info, in_mean=s == "id") for s, info in SHIFTS.items()}
    store, path = store_with(tmp_path / "s", outcomes(), shifts=aside), tmp_path / "b.json"
    write_baseline(store, path)
    done = check(store, path)
    assert (done.code, [v.what for v in done.verdicts]) == (OK, ["id"])


def test_folders_that_are_not_there_say_so(tmp_path, baseline):
    with pytest.raises(StoreError, match=r"nowhere.json: cannot be read: No such file .*; .*make a baseline"):
        check(Store(tmp_path), tmp_path / "nowhere.json")
    with pytest.raises(StoreError, match=r"results folder .*nores: expected a folder, found none; make one"):
        check(Store(tmp_path / "nores"), baseline)
