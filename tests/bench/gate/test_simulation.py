"""False alarms and power of the gate, where the truth is known. The whole table: scripts/simulate_gate.py."""

import importlib.util
from itertools import product

import numpy as np
import pytest
from scipy.stats import binom

from flatqat.bench.gate.compare import Rules, judge
from tests.helpers import ROOT
from tests.helpers.slow import slow

spec = importlib.util.spec_from_file_location("simulate_gate", ROOT / "scripts" / "simulate_gate.py")
simulation = importlib.util.module_from_spec(spec)
spec.loader.exec_module(simulation)


def too_many(share: float, trials: int, p: float) -> bool:
    """More than chance makes of probability `p`, once in 10,000 tests."""
    return round(share * trials) > binom.isf(1e-4, trials, p)


CHECKED = [((1, 2), 0.37), *slow(((1, 1), 0.74), ((1, 1), 0.37), ((3, 3), 0.37), ((3, 3), 0.74))]


@pytest.mark.parametrize(("seeds", "sd"), CHECKED)
def test_trainings_that_differ_by_chance_rarely_trip_the_gate(seeds, sd):
    """As after a rerun with other seeds, or with other threads. Two seeds may have the same accuracy."""
    for (_, p), share in simulation.shares(100, seeds, sd, 400, 0.0).items():
        assert not too_many(share, 100, p), (p, share)


def test_without_the_tolerance_for_retraining_they_do():
    rng, rules = np.random.default_rng(0), Rules(retraining_sd=0)
    tripped = 0
    for _ in range(60):
        rows = simulation.trial(rng, (1, 1), 0.74, 2000, 0.0, rules)
        tripped += any(v.verdict == "regressed" for v in judge(rows, rules))
    assert too_many(tripped / 60, 60, rules.p)


@pytest.mark.parametrize(("seeds", "sd"), [((1, 1), 0.74), ((5, 5), 0.37)])
def test_what_the_rows_say_to_catch_is_caught(seeds, sd):
    """Every row drops by what it catches on average; Holm's correction only adds to the power."""
    rng, rules = np.random.default_rng(1), Rules(p=0.05)
    said = [v.catches for _ in range(10) for v in judge(simulation.trial(rng, seeds, sd, 2000, 0.0), rules)]
    drop, caught = float(np.mean(said)), []
    for _ in range(40):
        verdicts = judge(simulation.trial(rng, seeds, sd, 2000, drop), rules)
        caught.append(np.mean([v.verdict == "regressed" for v in verdicts]))
    assert np.mean(caught) > 0.75


@pytest.mark.slow
def test_the_whole_table():
    trials = 1000
    setups = product(simulation.SEEDS, simulation.SDS, simulation.IMAGES)
    for seeds, sd, images in setups:
        for (max_drop, p), share in simulation.shares(trials, seeds, sd, images, 0.0).items():
            print(seeds, sd, images, max_drop, p, share)
            assert not too_many(share, trials, p), (seeds, sd, images, max_drop, p, share)
