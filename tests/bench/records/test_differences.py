"""Differences of methods, where some runs cannot be compared."""

import numpy as np
import pytest

from flatqat.bench.records.paired import Share, differences
from flatqat.metrics.components import Components


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def runs(tables):
    return {seed: {"images": Share(values=values, ids=None)} for seed, values in enumerate(tables)}


def test_a_run_whose_metric_is_undefined_costs_no_other_method_its_difference(rng):
    """It is left out; its method is compared on its other seeds."""
    base, sound, torn = rng.normal(size=(3, 3, 40))
    torn[1, 7] = np.nan
    found = differences([{"base": runs(base), "sound": runs(sound), "torn": runs(torn)}], "base")
    kept = [0, 2]
    for name, seeds, table in (("sound", [0, 1, 2], sound), ("torn", kept, torn)):
        alone = Components.of([np.stack([base[seeds], table[seeds]])]).difference(1, 0)
        assert found[name].value == pytest.approx(alone.value)
        assert found[name].stderr == pytest.approx(alone.stderr)
        assert found[name].seeds == len(seeds)


def test_a_method_without_any_defined_run_has_no_difference(rng):
    base, sound = rng.normal(size=(2, 3, 40))
    nothing = np.full((3, 40), np.nan)
    found = differences([{"base": runs(base), "sound": runs(sound), "none": runs(nothing)}], "base")
    assert [*found] == ["sound"]
