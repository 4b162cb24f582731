"""Flips against the enumeration of every outcome, and against a closed form where the grid has no ends."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor

from flatqat.flatness.code_flips import code_flips
from flatqat.flatness.params import Params
from tests.helpers.flatness_toys import quadratic, symmetric

GRID = torch.tensor([-1.0, -0.4, 0.0, 0.3, 1.0], dtype=torch.float64)  # not uniform
CODES = torch.tensor([[0, 2], [3, 4]])  # two of them at ends


def tiny() -> tuple[Params, Params, Params]:
    params = {"w": GRID[CODES], "bias": torch.ones(1).double()}
    lower, upper = {"w": GRID[(CODES - 1).clamp_min(0)]}, {"w": GRID[(CODES + 1).clamp_max(4)]}
    return params, lower, upper


def loss(params: Params) -> Tensor:
    """Neither quadratic nor separable."""
    w = params["w"].reshape(-1)
    return torch.exp(w @ torch.tensor([1.0, -2.0, 0.5, 1.5], dtype=torch.float64)) + w.prod() + w[1] ** 4


def expected(fraction: float) -> float:
    """Every weight stays, rises or falls: 3^4 outcomes with their probabilities."""
    params, lower, upper = tiny()
    base, total = float(loss(params)), 0.0
    for moves in product((0, -1, 1), repeat=4):
        chance = math.prod(1 - fraction if move == 0 else fraction / 2 for move in moves)
        at = torch.tensor(moves).view(2, 2)
        w = torch.where(at > 0, upper["w"], torch.where(at < 0, lower["w"], params["w"]))
        total += chance * (float(loss({**params, "w": w})) - base)
    return total


@pytest.mark.parametrize("fraction", [0.1, 0.7, 1.0])
def test_against_the_enumeration_of_all_outcomes(fraction: float) -> None:
    got = code_flips([loss], *tiny(), fraction=fraction, draws=3000)
    assert got.stderr is not None
    assert abs(got.value - expected(fraction)) < 4 * got.stderr  # 4 standard errors: 1 seed in 16,000
    assert got.stderr < 0.1 * abs(expected(fraction))
    assert (got.radius, got.draws) == (fraction, 3000)
    assert got.loss == float(loss(tiny()[0]))


def test_away_from_the_ends_it_is_half_the_fraction_times_the_curvature() -> None:
    matrix = symmetric([9.0, 7, 5, 4, 2, 1, -1, -3])
    step = torch.linspace(0.1, 0.4, 8, dtype=torch.float64)
    w = torch.linspace(-1, 1, 8, dtype=torch.float64)
    slope = 1e3 * torch.ones(8).double()
    got = code_flips(
        [lambda p: quadratic(matrix)(p) + slope @ p["w"]],
        {"w": w},
        {"w": w - step},
        {"w": w + step},
        fraction=0.3,
        draws=4000,
    )
    wanted = 0.5 * 0.3 * float(matrix.diag() @ step.square())
    assert got.stderr is not None
    assert abs(got.value - wanted) < 4 * got.stderr
    assert got.stderr < 0.05 * wanted  # a slope of 1e3 cancels between the two signs


def test_points_are_on_the_grid_in_opposite_pairs() -> None:
    codes = torch.randint(0, 5, (40, 50), generator=torch.Generator().manual_seed(1))
    params = {"w": GRID[codes], "bias": torch.ones(2).double()}
    lower, upper = {"w": GRID[(codes - 1).clamp_min(0)]}, {"w": GRID[(codes + 1).clamp_max(4)]}
    seen: list[Params] = []

    def watched(p: Params) -> Tensor:
        seen.append(p)
        return p["w"].sum()

    code_flips([watched], params, lower, upper, fraction=0.2, draws=5)
    assert len(seen) == 11
    moved = 0
    for plus, minus in zip(seen[1::2], seen[2::2], strict=True):
        up, down = plus["w"] == upper["w"], plus["w"] == lower["w"]
        stays = plus["w"] == params["w"]
        assert (up | down | stays).all()
        inner = (codes > 0) & (codes < 4)
        assert ((minus["w"] == lower["w"])[up & inner & ~stays]).all()
        assert ((minus["w"] == upper["w"])[down & inner & ~stays]).all()
        assert ((minus["w"] == params["w"])[stays & inner]).all()
        assert torch.equal(plus["bias"], params["bias"])
        moved += int((inner & ~stays).sum())
    count = 5 * int(((codes > 0) & (codes < 4)).sum())
    assert abs(moved / count - 0.2) < 4 * math.sqrt(0.2 * 0.8 / count)
    assert not torch.equal(seen[1]["w"], seen[3]["w"])


def test_seed_decides_and_nothing_else() -> None:
    state = torch.get_rng_state()
    first = code_flips([loss], *tiny(), fraction=0.5, draws=3)
    assert torch.equal(state, torch.get_rng_state())
    assert code_flips([loss], *tiny(), fraction=0.5, draws=3) == first
    assert code_flips([loss], *tiny(), fraction=0.5, draws=3, seed=2) != first


def test_refuses_what_it_cannot_do() -> None:
    params, lower, upper = tiny()
    for fraction in (0.0, 1.1):
        with pytest.raises(ValueError, match="fraction above 0 and up to 1"):
            code_flips([loss], params, lower, upper, fraction=fraction)
    with pytest.raises(ValueError, match="draws >= 2"):
        code_flips([loss], params, lower, upper, fraction=0.1, draws=1)
    with pytest.raises(ValueError, match="neighbors of the same tensors"):
        code_flips([loss], params, {}, {}, fraction=0.1)
    with pytest.raises(ValueError, match="lower <= weight <= upper"):
        code_flips([loss], params, upper, lower, fraction=0.1)
