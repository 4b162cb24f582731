"""Auto-PGD against the closed-form maximum of a quadratic on a ball, and against one step of SAM and ASAM."""

import pytest
import torch
from torch import Tensor

from flatqat.flatness.apgd import Ball, checkpoints, worst_case_sharpness
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
def test_no_point_is_outside_the_ball(net64: SmallNet, ball: Ball) -> None:
    radius, centre = 0.1, {name: value.detach() for name, value in net64.params.items()}
    seen: list[Params] = []

    def loss(params: Params) -> Tensor:
        seen.append({name: value.detach() for name, value in params.items()})
        return net64.loss(params)

    worst_case_sharpness([loss], net64.params, radius=radius, ball=ball)
    for point in seen:
        steps = {name: point[name] - centre[name] for name in point}
        if ball == "filter":
            for name, step in steps.items():
                if step.dim() < 2:
                    assert not step.any()
                else:
                    limit = radius * centre[name].flatten(1).norm(dim=1)
                    assert (step.flatten(1).norm(dim=1) <= limit * (1 + 1e-9)).all()
        else:
            scale = {n: centre[n].abs() if ball == "elementwise" else 1.0 for n in steps}
            assert not any(step[centre[name] == 0].any() for name, step in steps.items() if ball != "plain")
            relative = {name: (step / scale[name]).nan_to_num() for name, step in steps.items()}
            assert float(flatten(relative).norm()) <= radius * (1 + 1e-9)
    assert any(flatten(point).sub(flatten(centre)).norm() > 0.9 * radius * 0.1 for point in seen)


@pytest.mark.parametrize(("ball", "adaptive"), [("plain", False), ("elementwise", True)])
@pytest.mark.parametrize("radius", [0.05, 0.5, 2.0])
def test_its_first_step_is_that_of_sam(net64: SmallNet, ball: Ball, adaptive: bool, radius: float) -> None:
    one = one_step_sharpness(net64.chunks(12), net64.params, rho=radius, adaptive=adaptive).value
    first = worst_case_sharpness(net64.chunks(12), net64.params, radius=radius, ball=ball, iterations=1)
    assert first.value == pytest.approx(one, rel=1e-9)
    whole = worst_case_sharpness(net64.chunks(12), net64.params, radius=radius, ball=ball)
    assert whole.value >= one * (1 - 1e-9)
    assert radius < 0.5 or whole.value > 1.01 * one  # and finds more where the surface is not a plane


def test_steps_are_halved_until_a_narrow_peak_is_met() -> None:
    """A peak well inside the ball, which steps of twice the radius jump over."""
    peak = torch.tensor([0.3, 0.1]).double()
    loss = lambda p: 1 - 4 * (p["w"] - peak).square().sum()  # noqa: E731
    got = worst_case_sharpness([loss], {"w": torch.zeros(2).double()}, radius=10.0, iterations=100)
    assert got.value == pytest.approx(0.4, rel=1e-3)  # 4 ||peak||^2, from 0.6 up to 1


def published(loss: LossFn, radius: float, iterations: int, size: int) -> tuple[list[float], set[str]]:
    """Algorithm 1 of Croce & Hein 2020 in its own notation, on a ball around zero: the losses of all points,
    and which of its two conditions ever held alone."""

    def projected(x: Tensor) -> Tensor:
        return x if x.norm() <= radius else x * radius / x.norm()

    def ascended(x: Tensor) -> Tensor:
        leaf = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(loss({"w": leaf}), leaf)
        return projected(x + eta * slope / slope.norm())

    x, eta, alone = [torch.zeros(size).double()], 2 * radius, set()
    f = [float(loss({"w": x[0]}))]
    x_max, f_max, visited = x[0], f[0], list(f)
    w, eta_at, f_max_at = [0, *checkpoints(iterations)], {0: eta}, {0: f_max}
    for k in range(iterations):
        z = ascended(x[k])
        x.append(projected(x[k] + 0.75 * (z - x[k]) + 0.25 * (x[k] - x[k - 1])) if k else z)
        f.append(float(loss({"w": x[k + 1]})))
        visited.append(f[k + 1])
        if f[k + 1] > f_max:
            x_max, f_max = x[k + 1], f[k + 1]
        if k + 1 in w:
            last = w[w.index(k + 1) - 1]
            eta_at[k + 1], f_max_at[k + 1] = eta, f_max
            first = sum(f[i + 1] > f[i] for i in range(last, k + 1)) < 0.75 * (k + 1 - last)
            second = eta_at[last] == eta and f_max_at[last] == f_max
            alone |= {
                name for name, one, other in (("1", first, second), ("2", second, first)) if one > other
            }
            if first or second:
                eta, x[k + 1], f[k + 1] = eta / 2, x_max, f_max
    return visited, alone


def test_every_point_is_that_of_the_published_algorithm() -> None:
    """On surfaces with waves across the ball; either condition for a smaller step comes up by itself."""
    conditions: set[str] = set()
    for seed in range(12):
        generator = torch.Generator().manual_seed(seed)
        waves = torch.randn(6, 3, generator=generator, dtype=torch.float64) * 2
        phases = torch.rand(6, generator=generator, dtype=torch.float64) * 6
        seen: list[float] = []

        def loss(params: Params, waves: Tensor = waves, phases: Tensor = phases) -> Tensor:
            return (waves @ params["w"] + phases).sin().sum()

        def watched(params: Params, loss: LossFn = loss, seen: list[float] = seen) -> Tensor:
            value = loss(params)
            seen.append(float(value.detach()))
            return value

        expected, alone = published(loss, 1.0, 60, 3)
        worst_case_sharpness([watched], {"w": torch.zeros(3).double()}, radius=1.0, iterations=60)
        assert seen[: len(expected)] == pytest.approx(expected, abs=1e-9)  # float64, ascending 60 times
        conditions |= alone
    assert conditions == {"1", "2"}, "the surfaces must show both"


def test_the_result_is_the_best_point_and_never_below_the_centre() -> None:
    falls = lambda p: -(p["w"].square().sum())  # noqa: E731
    assert worst_case_sharpness([falls], {"w": torch.zeros(3)}, radius=1.0).value == 0
    assert worst_case_sharpness([lambda p: torch.tensor(2.0)], {"w": torch.ones(3)}, radius=1.0).value == 0
    assert worst_case_sharpness([quadratic(torch.eye(2))], {"w": torch.ones(2)}, radius=0.0).value == 0


def test_checkpoints_come_sooner_and_sooner() -> None:
    """p = 0.22, 0.41, 0.57, 0.70, 0.80, 0.87, 0.93, 0.99, by hand from the recursion."""
    assert checkpoints(100) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert checkpoints(20) == [5, 9, 12, 14, 16, 18, 19, 20]


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


def test_a_gradient_whose_square_underflows_has_a_direction() -> None:
    loss = lambda p: 1e-25 * p["w"].sum() + p["w"].pow(2).sum().detach()  # noqa: E731
    got = worst_case_sharpness([loss], {"w": torch.zeros(4)}, radius=2.0, iterations=1)
    assert got.value == pytest.approx(4.0, rel=1e-5)  # four steps of 1 each; float32


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
