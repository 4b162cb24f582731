"""Bit allocation against all choices there are."""

from itertools import product

import numpy as np
import pytest

from flatqat.errors import UsageError
from flatqat.quant.allocate import SOLVERS, exact, greedy, harm_of, reachable

LAYERS, CHOICES = 6, 3


def problem(seed: int, groups: int = 1) -> tuple[np.ndarray, np.ndarray, float]:
    """Costs that fall and harms that mostly rise from choice to choice, and a budget between the extremes."""
    rng = np.random.default_rng(seed)
    cost = np.sort(rng.uniform(1, 100, (LAYERS, CHOICES)), axis=1)[:, ::-1]
    harm = np.sort(rng.exponential(size=(LAYERS, CHOICES, groups)), axis=1) + rng.normal(0, 0.1, (1, 3, 1))
    low, high = reachable(cost)
    return harm, cost, low + rng.uniform(0.1, 0.9) * (high - low)


def best_of_all(harm, cost, budget) -> float:
    every = product(range(CHOICES), repeat=LAYERS)
    return min(harm_of(harm, c) for c in every if cost[np.arange(LAYERS), list(c)].sum() <= budget)


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("seed", range(12))
def test_exact_is_the_best_of_all_choices(seed, groups):
    harm, cost, budget = problem(seed, groups)
    chosen = exact(harm, cost, budget)
    assert cost[np.arange(LAYERS), chosen].sum() <= budget
    assert harm_of(harm, chosen) == pytest.approx(best_of_all(harm, cost, budget), rel=1e-9)


@pytest.mark.parametrize("solve", SOLVERS.values(), ids=SOLVERS)
def test_choices_that_cost_nothing(solve):
    harm = np.arange(6.0)[::-1].reshape(2, 3, 1)
    chosen = solve(harm, np.zeros((2, 3)), 0.0)
    assert len(chosen) == 2
    if solve is exact:
        assert chosen == [2, 2]


def test_greedy_keeps_the_budget_is_never_better_and_sometimes_worse():
    worse = 0
    for seed in range(30):
        harm, cost, budget = problem(seed, 1 + seed % 3)
        by_greed = greedy(harm, cost, budget)
        assert cost[np.arange(LAYERS), by_greed].sum() <= budget
        gap = harm_of(harm, by_greed) - harm_of(harm, exact(harm, cost, budget))
        assert gap >= -1e-12
        worse += gap > 1e-9
    assert 0 < worse < 30


def test_by_hand():
    """Harm 3 for 20 saved is the lower price, harm 1 for 5 saved is enough."""
    harm = np.array([[[0.0], [1.0]], [[0.0], [3.0]]])
    cost = np.array([[10.0, 5.0], [30.0, 10.0]])
    assert exact(harm, cost, 35.0) == [1, 0]
    assert greedy(harm, cost, 35.0) == [0, 1]
    for solver in SOLVERS.values():
        assert solver(harm, cost, 40.0) == [0, 0]
        assert solver(harm, cost, 20.0) == [0, 1]
        assert solver(harm, cost, 15.0) == [1, 1]


def test_the_worst_group_decides():
    """The mean over groups is better without the first layer, its worst group with it."""
    harm = np.array([[[0.0, 0.0], [0.0, 5.0]], [[0.0, 0.0], [3.0, 3.0]]])
    cost = np.array([[2.0, 1.0], [2.0, 1.0]])
    assert exact(harm, cost, 3.0) == [0, 1]
    assert exact(harm.mean(axis=2, keepdims=True), cost, 3.0) == [1, 0]


@pytest.mark.parametrize("solver", SOLVERS.values())
def test_an_impossible_budget_names_what_can_be_reached(solver):
    harm, cost, _ = problem(0)
    low, high = reachable(cost)
    with pytest.raises(UsageError, match=f"expected {low:g} to {high:g}"):
        solver(harm, cost, 0.9 * low)
    assert solver(harm, cost, low) == [CHOICES - 1] * LAYERS
    assert harm_of(harm, solver(harm, cost, 2 * high)) <= harm_of(harm, [0] * LAYERS)


def test_wrong_shapes():
    harm, cost, budget = problem(0)
    with pytest.raises(ValueError, match="expected finite harm"):
        exact(harm[:, :, 0], cost, budget)
    with pytest.raises(ValueError, match="expected finite harm"):
        exact(harm * np.nan, cost, budget)
