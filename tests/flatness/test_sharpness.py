"""Sharpness against closed forms on quadratics, and against the rescalings that must not change it."""

import math
from statistics import fmean, stdev

import pytest
import torch
from torch import Tensor

from flatqat.flatness.params import Params
from flatqat.flatness.sharpness import average_case_sharpness, one_step_sharpness
from tests.helpers.flatness_toys import SmallNet, quadratic, symmetric

RADIUS = 0.1


def two_layers() -> tuple[Params, Tensor]:
    """A (3, 2) matrix and a (2, 2, 1, 1) kernel beside a bias, with an indefinite Hessian over all 13."""
    generator = torch.Generator().manual_seed(5)
    shapes = {"bias": (3,), "conv": (2, 2, 1, 1), "linear": (3, 2)}
    params = {name: torch.randn(shape, generator=generator).double() for name, shape in shapes.items()}
    return params, symmetric([9.0, 7, 5, 4, 3, 2, 1, 0.5, 0, -0.5, -1, -2, -3])


def expected_on_quadratic(params: Params, matrix: Tensor, radius: float) -> float:
    """0.5 sum_f r^2 ||w_f||^2 tr(A_ff) / dim f.

    g_f / ||g_f|| is uniform on the sphere, covariance I / dim f, and filters are independent of each other.
    """
    total, at = 0.0, 0
    for name in sorted(params):
        for row in params[name] if params[name].dim() >= 2 else []:
            block = slice(at, at + row.numel())
            total += 0.5 * radius**2 * float(row.norm()) ** 2 * float(matrix.diag()[block].mean())
            at += row.numel()
        at += params[name].numel() if params[name].dim() < 2 else 0
    return total


def test_average_case_of_a_quadratic_is_its_closed_form() -> None:
    params, matrix = two_layers()
    got = average_case_sharpness([quadratic(matrix)], params, radius=RADIUS, draws=2000)
    expected = expected_on_quadratic(params, matrix, RADIUS)
    assert got.stderr is not None
    assert got.stderr < 0.05 * abs(expected)  # sharp enough that a factor of dim or 2 would show
    assert abs(got.value - expected) < 4 * got.stderr  # 4 standard errors: 1 seed in 16,000 fails


def test_standard_error_is_the_spread_over_seeds() -> None:
    params, matrix = two_layers()
    runs = [
        average_case_sharpness([quadratic(matrix)], params, radius=RADIUS, seed=seed) for seed in range(150)
    ]
    spread = stdev(run.value for run in runs)
    claimed = math.sqrt(fmean(run.stderr**2 for run in runs if run.stderr is not None))
    assert claimed == pytest.approx(spread, rel=0.2)  # a spread over 150 seeds is known to 6%
    expected = expected_on_quadratic(params, matrix, RADIUS)
    assert abs(fmean(run.value for run in runs) - expected) < 4 * spread / math.sqrt(len(runs))


def test_a_slope_neither_biases_nor_blurs_it() -> None:
    params, matrix = two_layers()
    sloped = [lambda p: quadratic(matrix)(p) + 1e3 * sum(value.sum() for value in p.values())]
    flat, steep = (
        average_case_sharpness(losses, params, radius=RADIUS) for losses in ([quadratic(matrix)], sloped)
    )
    assert steep.value == pytest.approx(flat.value, rel=1e-7)  # 1e3 cancels to 1e-13
    assert steep.stderr == pytest.approx(flat.stderr, rel=1e-7)


def test_each_filter_is_moved_by_radius_times_its_norm_and_the_rest_stays() -> None:
    params, _ = two_layers()
    params["linear"][1] = 0.0
    seen: list[Params] = []

    def loss(p: Params) -> Tensor:
        seen.append(p)
        return p["linear"].sum()

    average_case_sharpness([loss], params, radius=RADIUS, draws=3)
    assert len(seen) == 7
    for moved in seen[1:]:
        assert torch.equal(moved["bias"], params["bias"])
        for name in ("conv", "linear"):
            step = (moved[name] - params[name]).flatten(1).norm(dim=1)
            torch.testing.assert_close(step, RADIUS * params[name].flatten(1).norm(dim=1))
    for plus, minus in zip(seen[1::2], seen[2::2], strict=True):
        torch.testing.assert_close(plus["conv"] + minus["conv"], 2 * params["conv"])
    assert not torch.allclose(seen[1]["conv"], seen[3]["conv"])


def rescaled(c: float) -> SmallNet:
    """The same function: first conv times c, BatchNorm's statistics and eps with it; exact for c = 2^k."""
    toy = SmallNet(torch.float32)
    conv, norm = toy.net[0], toy.net[1]
    with torch.no_grad():
        conv.weight.mul_(c)
        norm.running_mean.mul_(c)
        norm.running_var.mul_(c**2)
        norm.eps *= c**2
    return toy


def test_weight_scale_before_batchnorm_does_not_change_relative_measures() -> None:
    toy, scaled = rescaled(1.0), rescaled(8.0)
    before, after = (average_case_sharpness(t.chunks(12), t.params, radius=RADIUS) for t in (toy, scaled))
    assert after == before  # a power of two: bit by bit
    before, after = (
        one_step_sharpness(t.chunks(12), t.params, rho=0.5, adaptive=True) for t in (toy, scaled)
    )
    assert after.value == pytest.approx(before.value, rel=1e-5)  # the norm over all tensors rounds anew
    before, after = (one_step_sharpness(t.chunks(12), t.params, rho=0.5) for t in (toy, scaled))
    assert abs(after.value / before.value - 1) > 0.01  # SAM's own radius is in units of weight


def test_worst_case_of_a_quadratic_is_its_closed_form() -> None:
    params, matrix = two_layers()
    w = torch.cat([params[name].reshape(-1) for name in sorted(params)])
    slope, rho = matrix @ w, 0.3
    for adaptive, step in (
        (False, rho * slope / slope.norm()),
        (True, rho * w**2 * slope / (w.abs() * slope).norm()),
    ):
        got = one_step_sharpness([quadratic(matrix)], params, rho=rho, adaptive=adaptive)
        expected = float(slope @ step + 0.5 * step @ matrix @ step)
        assert got.value == pytest.approx(expected, rel=1e-10)
        assert got.loss == pytest.approx(float(0.5 * w @ slope), rel=1e-12)
        assert (got.radius, got.draws, got.stderr) == (rho, 1, None)


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize(
    "loss", [lambda p: (p["w"] - 1).pow(2).sum(), lambda p: torch.tensor(1.0)], ids=["minimum", "constant"]
)
def test_worst_case_without_a_gradient_is_zero(loss: object, adaptive: bool) -> None:
    got = one_step_sharpness([loss], {"w": torch.ones(3)}, rho=0.1, adaptive=adaptive)  # type: ignore[list-item]
    assert got.value == 0


def test_worst_case_survives_a_gradient_whose_square_underflows() -> None:
    loss = lambda p: 1e-25 * p["w"].sum() + p["w"].pow(2).sum().detach()  # noqa: E731
    got = one_step_sharpness([loss], {"w": torch.zeros(4)}, rho=2.0)
    assert got.value == pytest.approx(4.0, rel=1e-5)  # four steps of 1 each; float32


def test_chunks_do_not_matter(net64: SmallNet) -> None:
    for measure in (
        lambda losses: average_case_sharpness(losses, net64.params, radius=RADIUS, draws=3),
        lambda losses: one_step_sharpness(losses, net64.params, rho=0.05),
        lambda losses: one_step_sharpness(losses, net64.params, rho=0.5, adaptive=True),
    ):
        whole, parts = measure(net64.chunks(12)), measure(net64.chunks(4))
        assert parts.value == pytest.approx(whole.value, rel=1e-9)  # float64, another order of summing
        assert parts.loss == pytest.approx(whole.loss, rel=1e-12)


def test_float32_weights_give_the_float64_sharpness(net32: SmallNet, net64: SmallNet) -> None:
    """Same directions in both; a radius whose rise, 1e-4 of the loss, is 1e3 times float32's rounding."""
    low, high = (average_case_sharpness(net.chunks(12), net.params, radius=0.03) for net in (net32, net64))
    assert low.value == pytest.approx(high.value, rel=2e-2)


def test_a_float64_loss_is_not_rounded_before_the_difference() -> None:
    """1 + 1e-9 is 1 in float32; the rise of 1e-9 is there because nothing is rounded on the way."""
    loss = lambda p: 1 + 1e-9 * p["w"].double().pow(2).sum()  # noqa: E731
    params = {"w": torch.full((1, 4), 0.5)}
    got = average_case_sharpness([loss], params, radius=1.0)
    assert got.value == pytest.approx(1e-9, rel=1e-5)  # ||w||^2 = 1 doubles, with float32 weights


def test_seed_decides_and_nothing_else(net64: SmallNet) -> None:
    def run(seed: int) -> object:
        torch.rand(1)
        return average_case_sharpness(net64.chunks(12), net64.params, radius=RADIUS, draws=2, seed=seed)

    state = torch.get_rng_state()
    first = average_case_sharpness(net64.chunks(12), net64.params, radius=RADIUS, draws=2, seed=0)
    assert torch.equal(state, torch.get_rng_state())
    assert run(0) == first
    assert run(1) != first


def test_weights_given_stay_untouched(net32: SmallNet) -> None:
    before = {name: value.detach().clone() for name, value in net32.params.items()}
    average_case_sharpness(net32.chunks(6), net32.params, radius=RADIUS, draws=2)
    one_step_sharpness(net32.chunks(6), net32.params, rho=1.0, adaptive=True)
    for name, value in net32.params.items():
        assert torch.equal(value, before[name])
        assert value.grad is None


def test_radius_zero_is_zero(net32: SmallNet) -> None:
    average = average_case_sharpness(net32.chunks(6), net32.params, radius=0.0)
    assert (average.value, average.stderr) == (0.0, 0.0)
    assert one_step_sharpness(net32.chunks(6), net32.params, rho=0.0).value == 0.0


def test_refuses_what_it_cannot_do() -> None:
    params = {"w": torch.ones(1, 2)}
    loss = quadratic(torch.eye(2))
    with pytest.raises(ValueError, match="draws >= 2"):
        average_case_sharpness([loss], params, radius=0.1, draws=1)
    with pytest.raises(ValueError, match="radius >= 0"):
        average_case_sharpness([loss], params, radius=-0.1)
    with pytest.raises(ValueError, match="rho >= 0"):
        one_step_sharpness([loss], params, rho=-0.1)
    with pytest.raises(ValueError, match="two or more axes"):
        average_case_sharpness([loss], {"w": torch.ones(2)}, radius=0.1)
    with pytest.raises(ValueError, match="at least one loss"):
        average_case_sharpness([], params, radius=0.1)
    for measure in (
        lambda bad: average_case_sharpness(bad, params, radius=0.1),
        lambda bad: one_step_sharpness(bad, params, rho=1),
    ):
        with pytest.raises(FloatingPointError, match="finite loss"):
            measure([lambda p: p["w"].sum() / 0])
