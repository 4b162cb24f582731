"""Auto-PGD against the closed-form maximum of a quadratic on a ball; its balls, seeds and refusals."""

import pytest
import torch
from torch import Tensor

from flatqat.flatness.apgd import Ball, worst_case_sharpness
from flatqat.flatness.params import LossFn, Params, flatten
from flatqat.flatness.sharpness import one_step_sharpness
from tests.helpers.flatness_toys import SmallNet, quadratic, symmetric

BALLS: tuple[Ball, ...] = ("plain", "elementwise", "filter")


def maximum(matrix: Tensor, slope: Tensor, radius: float) -> float:
    """max g.d + d.A d / 2 over ||d|| <= radius: at d = (mu I - A)^-1 g of that length, mu > lambda_max, 0.

    Source: More & Sorensen 1983. Needs a slope that is not orthogonal to the top eigenvector.
    """
    spectrum, basis = torch.linalg.eigh(matrix)
    along = basis.T @ slope
    low = max(0.0, float(spectrum[-1]))
    high = low + float(slope.norm()) / radius
    for _ in range(200):
        mu = (low + high) / 2
        low, high = (mu, high) if float((along / (mu - spectrum)).norm()) > radius else (low, mu)
    step = basis @ (along / (high - spectrum))
    return float(slope @ step + 0.5 * step @ matrix @ step)


def sloped(matrix: Tensor, slope: Tensor) -> LossFn:
    """L(w) = g.(w - 1) + (w - 1).A (w - 1) / 2 around w = 1."""

    def loss(params: Params) -> Tensor:
        d = torch.cat([params[name].reshape(-1) for name in sorted(params)]) - 1
        return slope @ d + 0.5 * d @ matrix @ d

    return loss


# On the sphere 20 steps are a power iteration with a shift: the part of the second eigenvector falls by the
# ratio of the two a step. At 8 / 9 that leaves 0.1 of it, and of the rise its square times the gap, under 1%.
@pytest.mark.parametrize(
    ("spectrum", "size"),
    [
        *(([9.0, 8, 3, 1, 0, -5], size) for size in (0.01, 1.0, 30.0)),
        *(([4.0, 4, 4, 1], size) for size in (0.01, 1.0, 30.0)),
        ([-1.0, -2, -3, -4], 3.0),  # a slope so steep that the maximum is on the sphere
    ],
    ids=str,
)
def test_the_maximum_of_a_quadratic_on_a_ball(spectrum: list[float], size: float) -> None:
    matrix = symmetric(spectrum)
    slope = size * torch.linspace(1, 2, len(spectrum), dtype=torch.float64)
    expected = maximum(matrix, slope, 0.5)
    params = {"w": torch.ones(len(spectrum)).double()}
    got = worst_case_sharpness([sloped(matrix, slope)], params, radius=0.5)
    assert got.value <= expected * (1 + 1e-12)
    assert got.value == pytest.approx(expected, rel=1e-2)
    long = worst_case_sharpness([sloped(matrix, slope)], params, radius=0.5, iterations=300)
    assert long.value == pytest.approx(expected, rel=1e-6)


def test_from_a_minimum_it_finds_the_top_eigenvector() -> None:
    """rho^2 lambda / 2, where one step of SAM has no direction."""
    matrix, params = symmetric([5.0, 2, 1, 0.5]), {"w": torch.ones(4).double()}
    loss = sloped(matrix, torch.zeros(4).double())
    assert one_step_sharpness([loss], params, rho=0.1).value == 0
    got = worst_case_sharpness([loss], params, radius=0.1)
    assert got.value == pytest.approx(0.5 * 0.1**2 * 5, rel=1e-6)  # (2 / 5)^20 is nothing
    assert (got.radius, got.loss, got.stderr) == (0.1, 0, None)


def test_elementwise_is_plain_in_the_units_of_each_weight() -> None:
    matrix = symmetric([9.0, 4, 3, 1, -1])
    w = torch.tensor([1.0, -2, 0.5, 0, 3]).double()
    slope, scale = matrix @ w, w.abs()
    expected = maximum(scale[:, None] * matrix * scale, scale * slope, 0.3)
    got = worst_case_sharpness([quadratic(matrix)], {"w": w}, radius=0.3, ball="elementwise")
    assert got.value == pytest.approx(expected, rel=1e-2)  # as above
    assert got.value <= expected * (1 + 1e-12)


def test_filters_have_a_ball_each() -> None:
    """A quadratic that does not couple the filters: their maxima add up; biases and zero filters stay."""
    blocks = [symmetric([6.0, 2, -1], seed) for seed in range(4)]
    matrix = torch.block_diag(symmetric([50.0, 40.0]), *blocks)  # the bias comes first by name
    params = {"b": torch.ones(2).double(), "w": torch.arange(1.0, 13.0).view(4, 3).double() / 6}
    params["w"][2] = 0
    slope = matrix @ flatten(params)
    expected = sum(
        maximum(block, slope[at : at + 3], 0.2 * float(row.norm()))
        for block, row, at in zip(blocks, params["w"], range(2, 14, 3), strict=True)
        if row.norm() > 0
    )
    got = worst_case_sharpness([quadratic(matrix)], params, radius=0.2, ball="filter")
    assert got.value == pytest.approx(expected, rel=1e-2)  # as above
    assert got.value <= expected * (1 + 1e-12)


@pytest.mark.parametrize("ball", BALLS)
def test_points_are_inside_the_ball_and_the_first_step_reaches_its_edge(net64: SmallNet, ball: Ball) -> None:
    radius, center = 0.1, {name: value.detach() for name, value in net64.params.items()}
    seen: list[Params] = []

    def loss(params: Params) -> Tensor:
        seen.append({name: value.detach() for name, value in params.items()})
        return net64.loss(params)

    def lengths(point: Params) -> list[float]:
        """How far a point is from the center of each ball, in radii."""
        steps = {name: point[name] - center[name] for name in point}
        if ball == "filter":
            assert not any(step.any() for step in steps.values() if step.dim() < 2)
            rows = [(step, center[name]) for name, step in steps.items() if step.dim() > 1]
            return [float(r.norm() / w.norm()) / radius for s, c in rows for r, w in zip(s, c, strict=True)]
        if ball == "elementwise":
            assert not any(step[center[name] == 0].any() for name, step in steps.items())
            steps = {name: (step / center[name]).nan_to_num() for name, step in steps.items()}
        return [float(flatten(steps).norm()) / radius]

    worst_case_sharpness([loss], net64.params, radius=radius, ball=ball)
    assert all(length <= 1 + 1e-9 for point in seen for length in lengths(point))
    first = lengths(seen[1])
    assert len(first) == (3 + 4 + 4 if ball == "filter" else 1)
    assert first == pytest.approx([1.0] * len(first), rel=1e-9)


@pytest.mark.parametrize("ball", ["elementwise", "filter"])
def test_weight_scale_before_batchnorm_does_not_change_relative_balls(ball: Ball) -> None:
    toy, scaled = SmallNet(), SmallNet()
    conv, norm = scaled.net[0], scaled.net[1]
    with torch.no_grad():
        conv.weight.mul_(8)
        norm.running_mean.mul_(8)
        norm.running_var.mul_(64)
        norm.eps *= 64
    before, after = (
        worst_case_sharpness(t.chunks(12), t.params, radius=0.1, ball=ball) for t in (toy, scaled)
    )
    assert after.value == pytest.approx(before.value, rel=1e-6)  # float64, ascending 20 times
    before, after = (worst_case_sharpness(t.chunks(12), t.params, radius=0.1) for t in (toy, scaled))
    assert abs(after.value / before.value - 1) > 0.01  # the plain ball is in units of weight


@pytest.mark.parametrize("ball", BALLS)
def test_chunks_seeds_and_weights(net64: SmallNet, ball: Ball) -> None:
    before = {name: value.detach().clone() for name, value in net64.params.items()}
    state = torch.get_rng_state()
    whole, parts = (
        worst_case_sharpness(net64.chunks(s), net64.params, radius=0.1, ball=ball) for s in (12, 4)
    )
    assert parts.value == pytest.approx(whole.value, rel=1e-6)  # float64, ascending 20 times
    assert torch.equal(state, torch.get_rng_state())
    for name, value in net64.params.items():
        assert torch.equal(value, before[name])
        assert value.grad is None


def test_progress_counts_steps() -> None:
    seen: list[tuple[int, int]] = []
    worst_case_sharpness(
        [quadratic(torch.eye(2))],
        {"w": torch.ones(2)},
        radius=1.0,
        iterations=3,
        progress=lambda *at: seen.append(at),
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_refuses_what_it_cannot_do() -> None:
    params = {"w": torch.ones(2)}
    for wrong in ({"radius": -1.0}, {"radius": 1.0, "iterations": 0}):
        with pytest.raises(ValueError, match="radius >= 0 and iterations >= 1"):
            worst_case_sharpness([quadratic(torch.eye(2))], params, **wrong)
    with pytest.raises(ValueError, match="two or more axes"):
        worst_case_sharpness([quadratic(torch.eye(2))], params, radius=1.0, ball="filter")
    with pytest.raises(FloatingPointError, match="finite loss"):
        worst_case_sharpness([lambda p: p["w"].sum() / 0], params, radius=1.0)
    with pytest.raises(ValueError, match="at least one loss"):
        worst_case_sharpness([], params, radius=1.0)
