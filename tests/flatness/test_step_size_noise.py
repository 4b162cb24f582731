"""Rescaling against a closed form and against the same draws written out."""

import pytest
import torch

from flatqat.flatness.params import gaussian
from flatqat.flatness.step_size_noise import step_size_noise
from tests.helpers.flatness_toys import quadratic, symmetric


def test_on_a_quadratic_it_is_its_closed_form() -> None:
    """0.5 r^2 sum_i H_ii s_i^2."""
    matrix = symmetric([9.0, 7, 5, 4, 2, 1, -1, -3])
    s = torch.linspace(0.2, 2, 8, dtype=torch.float64)
    got = step_size_noise([quadratic(matrix)], {"s": s}, size=0.1, draws=3000)
    wanted = 0.5 * 0.1**2 * float(matrix.diag() @ s.square())
    assert got.stderr is not None
    assert abs(got.value - wanted) < 4 * got.stderr  # 4 standard errors: 1 seed in 16,000
    assert got.stderr < 0.05 * wanted
    assert got.radius == 0.1


def test_the_draws_by_hand() -> None:
    params = {"a": torch.tensor([1.0, 3.0]).double(), "b": torch.tensor([[2.0]]).double()}
    loss = lambda p: (p["a"].exp().sum() * p["b"]).sum()  # noqa: E731
    got = step_size_noise([loss], params, size=0.05, draws=3, seed=7)
    generator = torch.Generator().manual_seed(7)
    rises = []
    for _ in range(3):
        noise = gaussian(params, generator)
        for sign in (1, -1):
            point = {name: value * (1 + sign * 0.05 * noise[name]) for name, value in params.items()}
            rises.append(float(loss(point) - loss(params)))
    assert got.value == pytest.approx(sum(rises) / 6, rel=1e-10)


def test_seed_zero_size_and_refusals() -> None:
    params, loss = {"s": torch.ones(3)}, quadratic(torch.eye(3))
    state = torch.get_rng_state()
    first = step_size_noise([loss], params, size=0.1, draws=2)
    assert torch.equal(state, torch.get_rng_state())
    assert step_size_noise([loss], params, size=0.1, draws=2) == first
    assert step_size_noise([loss], params, size=0.1, draws=2, seed=1) != first
    assert step_size_noise([loss], params, size=0.0, draws=2).value == 0
    with pytest.raises(ValueError, match="size >= 0"):
        step_size_noise([loss], params, size=-0.1)
    with pytest.raises(ValueError, match="draws >= 2"):
        step_size_noise([loss], params, size=0.1, draws=1)
