"""Arrays of many shifts in few, against the same arrays one by one."""

import numpy as np
import pytest

from flatqat.metrics.stacked import Stacked, together

SIZES = {"val": 7, "id": 12, "fog/1": 12, "night": 5}


def arrays(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {shift: rng.random(size) < 0.5 for shift, size in SIZES.items()}


def test_each_shift_is_found_in_an_array_of_its_size():
    plain, stacked = arrays(), Stacked.of(arrays())
    assert [len(shifts) for shifts, _ in stacked.stacks] == [1, 2, 1]
    assert stacked.keys() == plain.keys()
    assert stacked.sizes == SIZES
    assert all((stacked[shift] == plain[shift]).all() for shift in plain)
    assert np.shares_memory(stacked["id"], stacked.stacks[1][1])


def test_rows_are_those_of_one_array():
    plain, stacked = arrays(), Stacked.of(arrays())
    assert (stacked.rows(["fog/1", "id"]) == [plain["fog/1"], plain["id"]]).all()
    assert stacked.rows(["id", "night"]) is None


def test_a_function_is_applied_to_each_shift_and_the_identity_to_none():
    stacked = Stacked.of(arrays())
    seen = []
    mapped = stacked.mapped(lambda images: seen.append(len(images)) or images.astype(float))
    assert sorted(seen) == sorted(SIZES.values())
    assert all((mapped[shift] == stacked[shift]).all() for shift in SIZES)
    assert stacked.mapped(np.asarray) is stacked


@pytest.mark.parametrize("kind", [dict, Stacked.of])
def test_runs_together_are_those_of_each_seed(kind):
    runs = [arrays(seed) for seed in range(3)]
    both = together([kind(run) for run in runs])
    for shift in SIZES:
        assert (both[shift] == [run[shift] for run in runs]).all()
    other_order = [kind(runs[0]), kind(dict(reversed(runs[1].items())))]
    assert (together(other_order)["night"] == [run["night"] for run in runs[:2]]).all()


def test_runs_of_other_images_are_refused():
    with pytest.raises(ValueError, match=r"id: expected the same images in every run, got \[3, 4\]"):
        together([{"id": np.ones(3)}, {"id": np.ones(4)}])
