"""Choose one of several bit widths for each layer, within a budget, by an additive model of their harm.

Layer l with choice c costs cost[l, c] and does harm[l, c, g] to each of G groups of images. The harm of a
choice for all layers is the sum over layers, that of the worst group if there are several:

    minimize max_g sum_l harm[l, c_l, g]    subject to    sum_l cost[l, c_l] <= budget
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatqat.errors import UsageError

Floats = NDArray[np.float64]
SLACK = 1e-9  # of the budget: sums in another order


def exact(harm: NDArray[Any], cost: NDArray[Any], budget: float) -> list[int]:
    """Return the best choice of each layer, by integer programming (HiGHS).

    `harm` is (layers, choices, groups), `cost` (layers, choices); with G groups the program has a variable
    for each choice of each layer, which is 0 or 1, and one for the worst group. Raises UsageError if even the
    cheapest choices cost more than `budget`.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array, hstack, kron

    harm, cost = _checked(harm, cost, budget)
    layers, choices, groups = harm.shape
    unit, limit = np.abs(harm).max() or 1.0, cost.mean() or 1.0
    each = hstack([kron(np.eye(layers), np.ones((1, choices))), csr_array((layers, 1))])
    constraints = [
        LinearConstraint(each, 1, 1),
        LinearConstraint(np.append(cost.ravel() / limit, 0.0), -np.inf, budget * (1 + SLACK) / limit),
        LinearConstraint(
            np.column_stack([harm.reshape(-1, groups).T / unit, np.full(groups, -1.0)]), -np.inf, 0
        ),
    ]
    count = layers * choices
    found = milp(
        c=np.append(np.zeros(count), 1.0),
        integrality=np.append(np.ones(count), 0),
        bounds=Bounds(np.append(np.zeros(count), -np.inf), np.append(np.ones(count), np.inf)),
        constraints=constraints,
        options={"mip_rel_gap": 0.0},
    )
    assert found.x is not None, found.message  # the cheapest choices are a solution
    return [int(choice) for choice in found.x[:count].reshape(layers, choices).argmax(axis=1)]


def greedy(harm: NDArray[Any], cost: NDArray[Any], budget: float) -> list[int]:
    """Return a choice for each layer: from the dearest ones down, each step the least harm per cost saved.

    A step gives one layer any cheaper choice. Arguments and errors are those of `exact`.
    """
    harm, cost = _checked(harm, cost, budget)
    layers = np.arange(len(cost))
    chosen = cost.argmax(axis=1)
    while cost[layers, chosen].sum() > budget * (1 + SLACK):
        before = harm[layers, chosen].sum(axis=0)
        saved = cost[layers, chosen][:, None] - cost
        after = (before - harm[layers, chosen][:, None] + harm).max(axis=2)
        price = np.divide(after - before.max(), saved, out=np.full_like(saved, np.inf), where=saved > 0)
        layer, choice = np.unravel_index(int(price.argmin()), price.shape)
        chosen[layer] = choice
    return [int(choice) for choice in chosen]


SOLVERS = {"exact": exact, "greedy": greedy}


def harm_of(harm: NDArray[Any], chosen: Sequence[int]) -> float:
    """Return the harm of a choice for each layer: that of the worst group."""
    return float(np.asarray(harm)[np.arange(len(chosen)), list(chosen)].sum(axis=0).max())


def reachable(cost: NDArray[Any]) -> tuple[float, float]:
    """Return the lowest and the highest cost of any choice."""
    return float(cost.min(axis=1).sum()), float(cost.max(axis=1).sum())


def _checked(harm: NDArray[Any], cost: NDArray[Any], budget: float) -> tuple[Floats, Floats]:
    harm, cost = np.asarray(harm, np.float64), np.asarray(cost, np.float64)
    if harm.ndim != 3 or harm.shape[:2] != cost.shape or not (np.isfinite(harm).all() and (cost >= 0).all()):
        shapes = f"{harm.shape} and {cost.shape}"
        raise ValueError(
            f"expected finite harm (layers, choices, groups) and cost of its layers, got {shapes}"
        )
    low, high = reachable(cost)
    if budget * (1 + SLACK) < low:
        raise UsageError(f"budget: expected {low:g} to {high:g}, what the choices can reach, got {budget:g}")
    return harm, cost
