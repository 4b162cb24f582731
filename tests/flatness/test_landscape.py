"""Landscapes: of a quadratic the exact quadratic form, on directions as long as the filters."""

import pytest
import torch
from torch import Tensor

from flatqat.flatness.landscape import Landscape, landscape
from flatqat.flatness.params import Params, flatten
from tests.helpers.flatness_toys import SmallNet, quadratic, symmetric

MATRIX = symmetric([9.0, 7, 5, 4, 3, 2, 1, 0.5, 0, -0.5, -1])


def weights() -> Params:
    generator = torch.Generator().manual_seed(5)
    shapes = {"bias": (3,), "conv": (2, 2, 1, 1), "linear": (2, 2)}
    return {name: torch.randn(shape, generator=generator).double() for name, shape in shapes.items()}


def measured(params: Params, points: int = 5, span: float = 0.5) -> tuple[Landscape, list[Params]]:
    """A landscape of the quadratic, and every point at which it was evaluated."""
    seen: list[Params] = []

    def loss(p: Params) -> Tensor:
        seen.append(p)
        return quadratic(MATRIX)(p)

    return landscape([loss], params, points=points, span=span), seen


def test_on_a_quadratic_it_is_the_quadratic_form_of_its_directions() -> None:
    params = weights()
    got, seen = measured(params)
    w = flatten(params)
    d = (flatten(seen[20]) - flatten(seen[0])) / 1.0  # from (-0.5, -0.5) to (0.5, -0.5)
    e = (flatten(seen[4]) - flatten(seen[0])) / 1.0
    assert got.coordinates == (-0.5, -0.25, 0, 0.25, 0.5)
    for a, row in zip(got.coordinates, got.losses, strict=True):
        for b, value in zip(got.coordinates, row, strict=True):
            at = w + a * d + b * e
            assert value == pytest.approx(float(0.5 * at @ MATRIX @ at), rel=1e-9, abs=1e-12)


def test_each_direction_is_as_long_as_each_filter_and_biases_stay() -> None:
    params = weights()
    params["linear"][1] = 0
    _, seen = measured(params, points=3, span=1.0)
    for end in (seen[1], seen[3]):  # (-1, 0) and (0, -1)
        assert torch.equal(end["bias"], params["bias"])
        for name in ("conv", "linear"):
            length = (end[name] - params[name]).flatten(1).norm(dim=1)
            torch.testing.assert_close(length, params[name].flatten(1).norm(dim=1))
    d, e = (flatten(end) - flatten(params) for end in (seen[1], seen[3]))
    assert abs(float(d @ e)) < 0.9 * float(d.norm() * e.norm())  # two directions, not one


def test_the_middle_is_the_loss_itself_and_the_lowest_point_is_found() -> None:
    params = weights()
    got, _ = measured(params)
    assert got.center == float(quadratic(MATRIX)(params))
    lowest, a, b = got.lowest
    assert lowest == min(map(min, got.losses))
    assert lowest == got.losses[got.coordinates.index(a)][got.coordinates.index(b)]


def test_chunks_seed_and_weights(net64: SmallNet) -> None:
    before = {name: value.detach().clone() for name, value in net64.params.items()}
    state = torch.get_rng_state()
    whole, parts = (landscape(net64.chunks(s), net64.params, points=3) for s in (12, 4))
    for row, other in zip(whole.losses, parts.losses, strict=True):
        assert other == pytest.approx(row, rel=1e-12)
    assert torch.equal(state, torch.get_rng_state())
    assert landscape(net64.chunks(12), net64.params, points=3) == whole
    assert landscape(net64.chunks(12), net64.params, points=3, seed=1) != whole
    assert all(torch.equal(value, before[name]) for name, value in net64.params.items())


def test_weight_scale_before_batchnorm_does_not_change_the_surface() -> None:
    toy, scaled = SmallNet(torch.float32), SmallNet(torch.float32)
    conv, norm = scaled.net[0], scaled.net[1]
    with torch.no_grad():
        conv.weight.mul_(8)
        norm.running_mean.mul_(8)
        norm.running_var.mul_(64)
        norm.eps *= 64
    before, after = (landscape(t.chunks(12), t.params, points=5) for t in (toy, scaled))
    assert after == before  # a power of two: bit by bit


def test_progress_counts_evaluations() -> None:
    seen: list[tuple[int, int]] = []
    landscape([quadratic(MATRIX)], weights(), points=3, progress=lambda *at: seen.append(at))
    assert seen == [(done, 9) for done in range(1, 10)]


def test_refuses_what_it_cannot_do() -> None:
    for wrong in ({"points": 4}, {"points": 1}, {"span": 0.0}, {"span": float("inf")}):
        with pytest.raises(ValueError, match="odd number of points from 3 and a span above 0"):
            landscape([quadratic(MATRIX)], weights(), **wrong)
    with pytest.raises(ValueError, match="two or more axes"):
        landscape([quadratic(torch.eye(2))], {"w": torch.ones(2)})
    with pytest.raises(FloatingPointError, match="finite loss"):
        landscape([lambda p: p["w"].sum() / 0], {"w": torch.ones(1, 2)})
