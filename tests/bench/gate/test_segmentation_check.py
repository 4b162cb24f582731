"""The gate on mIoU: pseudo-values, through a baseline file."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ttest_rel

from flatqat.bench.gate.baseline import read_baseline, write_baseline
from flatqat.bench.gate.check import check
from flatqat.bench.gate.compare import Rules
from flatqat.bench.gate.wording import notes
from flatqat.bench.records.store import Store
from flatqat.exit_codes import IMPROVED, INCOMPLETE, OK, REGRESSED
from flatqat.metrics.metric import METRICS
from flatqat.metrics.miou import pseudo_values
from flatqat.spec import Score
from tests.helpers.gate_records import outcomes, store_with
from tests.helpers.street_records import FP, SHIFTS, Matrices, matrices, miou, put


def counts(of: np.ndarray) -> np.ndarray:
    hits = of.diagonal(axis1=1, axis2=2)
    return np.stack([hits, of.sum(axis=1) + of.sum(axis=2) - hits], axis=1)


def mixed(of: np.ndarray, share: float) -> np.ndarray:
    """A share of the right pixels of every image taken for the next class."""
    new = of.copy()
    for k in range(3):
        lost = (share * of[:, k, k]).astype(int)
        new[:, k, k] -= lost
        new[:, k, (k + 1) % 3] += lost
    return new


@pytest.fixture
def baseline(tmp_path):
    store, path = Store(tmp_path / "old"), tmp_path / "baseline.json"
    put(store, FP, matrices())
    assert write_baseline(store, path) == (1, [])
    return path


def gate(folder, baseline, now: Matrices, **rules):
    store = Store(folder)
    put(store, FP, now)
    return check(store, baseline, Rules(**{"retraining_sd": 0, **rules}))


def test_the_baseline_gives_the_pseudo_values_of_the_counts(baseline):
    (cell,) = read_baseline(baseline).values()
    assert cell.packed.metric == "miou"
    for shift, each in matrices().items():
        np.testing.assert_array_equal(cell.values[shift], pseudo_values(counts(each)))


def test_another_metric_is_not_compared(tmp_path, baseline):
    done = check(store_with(tmp_path / "new", outcomes(), FP), baseline)
    assert (done.code, done.missing) == (INCOMPLETE, [("fp", "the metric differs: miou → top1")])


def test_values_are_computed_once_before_and_once_now(tmp_path, baseline, monkeypatch):
    seen = []

    def counted(outcome):
        seen.append(outcome)
        return pseudo_values(outcome)

    monkeypatch.setitem(METRICS, "miou", replace(METRICS["miou"], values=counted))
    assert gate(tmp_path / "new", baseline, matrices()).code == OK
    assert len(seen) == 2 * len(SHIFTS)


def test_the_same_results_pass_with_the_miou_of_the_whole_shift(tmp_path, baseline):
    done = gate(tmp_path / "new", baseline, matrices())
    assert done.code == OK
    by_what = {v.what: v for v in done.verdicts}
    assert set(by_what) == {"id", "ood", "fog", "night"}
    assert all(v.before == v.now and v.p == 1 for v in done.verdicts)
    pooled = {shift: miou(each.sum(axis=0)) for shift, each in matrices().items()}
    assert by_what["id"].now == pytest.approx(pooled["id"], rel=1e-12)
    assert by_what["ood"].now == pytest.approx((pooled["fog"] + pooled["night"]) / 2, rel=1e-12)


def test_what_a_row_catches_is_near_what_it_finds(tmp_path, baseline):
    """By whole images that could only be right or wrong it would be 30 points and more."""
    done = gate(tmp_path / "new", baseline, matrices(), p=0.05)
    assert all(0.5 <= v.catches < 2 for v in done.verdicts)
    certain = gate(tmp_path / "new", baseline, matrices(), max_drop=0)
    assert all(v.catches == 0 for v in certain.verdicts)
    assert any(line.startswith("0.00: no image differs") for line in notes(certain, Rules(max_drop=0)))


def test_a_drop_of_one_condition_trips_and_says_which(tmp_path, baseline):
    now = matrices()
    now["night"] = mixed(now["night"], 0.2)
    done = gate(tmp_path / "new", baseline, now)
    assert done.code == REGRESSED
    assert {v.what for v in done.verdicts if v.verdict == "regressed"} == {"night", "ood"}
    (night,) = (v for v in done.verdicts if v.what == "night")
    assert night.now == pytest.approx(miou(now["night"].sum(axis=0)), rel=1e-12)
    assert gate(tmp_path / "new", baseline, now, max_drop=20.0).code == OK


def test_p_is_that_of_pseudo_values_times_four_of_holm(tmp_path, baseline):
    now = matrices()
    worse = mixed(now["id"], 0.03)
    at = np.arange(len(worse)) % 3 == 0
    now["id"][at] = worse[at]
    before = matrices()["id"]
    alone = ttest_rel(pseudo_values(counts(now["id"])), pseudo_values(counts(before))).pvalue
    (row,) = (v for v in gate(tmp_path / "new", baseline, now).verdicts if v.what == "id")
    assert 0 < alone < 0.2
    assert row.p == pytest.approx(4 * alone, rel=1e-6)


def test_another_training_run_of_the_same_quality_passes(tmp_path, baseline):
    assert gate(tmp_path / "new", baseline, matrices(seed=5)).code == OK


def test_shifts_outside_the_headline_do_not_gate(tmp_path, baseline):
    now = matrices()
    now["aside"] = mixed(now["aside"], 1.0)
    assert gate(tmp_path / "new", baseline, now).code == OK


def test_improvement_trips_only_when_asked(tmp_path, baseline):
    now = matrices(loss=-0.1)
    assert gate(tmp_path / "new", baseline, now).code == OK
    assert gate(tmp_path / "new", baseline, now, two_sided=True).code == IMPROVED


def test_other_images_are_incomplete(tmp_path, baseline):
    now = {shift: each[:5] for shift, each in matrices().items()}
    done = gate(tmp_path / "new", baseline, now)
    assert done.code == INCOMPLETE
    assert [reason for _, reason in done.missing] == ["the number of images of aside differs: 8 → 5"]


def test_a_shift_without_a_labeled_pixel_is_incomplete(tmp_path):
    """0/0 on both sides is neither fine nor an improvement; the other shifts are compared all the same."""
    of = {**matrices(), "night": np.zeros_like(matrices()["night"])}
    store, path = Store(tmp_path / "old"), tmp_path / "b.json"
    put(store, FP, {**of, "night": matrices()["night"]})
    arrays = store.outcomes(FP) | {"night:confusion": of["night"]}
    record = store.record(FP)
    night = {**record.scores["night"], "miou": Score(value=None, n=len(of["night"]))}
    store.write_record(replace(record, scores={**record.scores, "night": night}), arrays)
    assert write_baseline(store, path) == (1, [])
    done = check(store, path, Rules(two_sided=True))
    assert done.code == INCOMPLETE
    assert {v.what: v.verdict for v in done.verdicts} == {"id": "ok", "fog": "ok"}
    assert [reason for _, reason in done.missing] == ["ood is undefined", "night is undefined"]
    asked = check(store, path, only=["id", "fog"])
    assert (asked.code, asked.missing) == (OK, [])
    asked = check(store, path, only=["id", "night"])
    assert asked.code == INCOMPLETE
    assert [reason for _, reason in asked.missing] == ["night is undefined"]


def test_cells_of_both_tasks_stand_in_one_baseline(tmp_path):
    old, path = store_with(tmp_path / "old", outcomes()), tmp_path / "b.json"
    put(old, FP, matrices())
    assert write_baseline(old, path) == (2, [])
    done = check(old, path)
    assert done.code == OK
    assert len({v.cell for v in done.verdicts}) == 2
    assert len(done.verdicts) == 8


def test_seeds_are_one_group(tmp_path):
    store, path = Store(tmp_path / "old"), tmp_path / "b.json"
    for seed in (0, 1):
        put(store, replace(FP, seed=seed), matrices(seed=seed))
    assert write_baseline(store, path) == (2, [])
    assert {v.seeds_now for v in check(store, path).verdicts} == {2}
