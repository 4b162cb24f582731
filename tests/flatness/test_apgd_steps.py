"""The steps of auto-PGD against the published algorithm, and its first step against SAM and ASAM."""

import pytest
import torch
from torch import Tensor

from flatqat.flatness.apgd import Ball, checkpoints, worst_case_sharpness
from flatqat.flatness.params import LossFn, Params
from flatqat.flatness.sharpness import one_step_sharpness
from tests.helpers.flatness_toys import SmallNet, quadratic


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


def test_the_result_is_the_best_point_and_never_below_the_center() -> None:
    falls = lambda p: -(p["w"].square().sum())  # noqa: E731
    assert worst_case_sharpness([falls], {"w": torch.zeros(3)}, radius=1.0).value == 0
    assert worst_case_sharpness([lambda p: torch.tensor(2.0)], {"w": torch.ones(3)}, radius=1.0).value == 0
    assert worst_case_sharpness([quadratic(torch.eye(2))], {"w": torch.ones(2)}, radius=0.0).value == 0


def test_checkpoints_come_sooner_and_sooner() -> None:
    """p = 0.22, 0.41, 0.57, 0.70, 0.80, 0.87, 0.93, 0.99, by hand from the recursion."""
    assert checkpoints(100) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert checkpoints(20) == [5, 9, 12, 14, 16, 18, 19, 20]


def test_a_gradient_whose_square_underflows_has_a_direction() -> None:
    loss = lambda p: 1e-25 * p["w"].sum() + p["w"].pow(2).sum().detach()  # noqa: E731
    got = worst_case_sharpness([loss], {"w": torch.zeros(4)}, radius=2.0, iterations=1)
    assert got.value == pytest.approx(4.0, rel=1e-5)  # four steps of 1 each; float32
