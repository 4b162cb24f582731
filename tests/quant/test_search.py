"""Few values are rounded in all ranges at once, which changes no bit of what the search finds."""

import pytest
import torch
from torch import Tensor

from flatqat import registry
from flatqat.quant import search
from flatqat.quant.base import Quantizer
from flatqat.quant.lsqplus import LSQPlus
from flatqat.quant.observe import Observer

SHAPES = [(1, 1), (5, 1), (1, 300), (7, 3, 3, 3), (64, 28, 3, 3), (40, 1, 5, 5)]
FEW = search.FEW
WEIGHT = torch.randn(6, 40, generator=torch.Generator().manual_seed(0))


def calibrated(
    quantizer, role: str, v: Tensor, scale_shape: tuple[int, ...] = (), bits: int = 3
) -> Quantizer:
    make = registry.load(registry.QUANTIZERS, quantizer) if isinstance(quantizer, str) else quantizer
    q, observed = make(bits=bits, role=role, scale_shape=scale_shape), Observer(scale_shape, keep_all=True)
    observed.add(v)
    q.calibrate(observed, "mse")
    return q


@pytest.fixture
def at_once(monkeypatch) -> list[bool]:
    """For each search that was tried with all ranges at once, whether that went."""
    found: list[bool] = []
    real = search._all_at_once

    def noted(*args):
        errors = real(*args)
        found.append(errors is not None)
        return errors

    monkeypatch.setattr(search, "_all_at_once", noted)
    return found


@pytest.fixture
def both_ways(at_once, monkeypatch):
    """Calibrate with all ranges at once if possible, and one by one: the same; returns whether it was."""

    def compare(quantizer, role, v, scale_shape=()) -> bool:
        tried, found = len(at_once), []
        for few in (FEW, 0):
            monkeypatch.setattr(search, "FEW", few)
            found.append(calibrated(quantizer, role, v, scale_shape).state_dict())
        monkeypatch.setattr(search, "FEW", FEW)
        assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])
        return any(at_once[tried:])

    return compare


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["lsq", "lsqplus", "minmax", "ewgs"])
def test_all_ranges_at_once_and_one_by_one_give_the_same_bits(name, shape, both_ways):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    assert both_ways(name, "weight", weight, (shape[0], *[1] * (len(shape) - 1)))
    assert both_ways(name, "weight", weight)
    assert both_ways(name, "input", weight.flatten())
    assert both_ways(name, "input", weight.flatten().relu())


def test_the_errors_themselves_are_the_same_to_the_bit(monkeypatch):
    q, observed = LSQPlus(bits=3, role="weight", scale_shape=(6, 1)), Observer((6, 1))
    observed.add(WEIGHT)
    ranges = [(observed.low * f, observed.high * f) for f in (0.3, 0.5, 1.0)]
    quick = search.rounding_errors(q, observed, ranges)
    monkeypatch.setattr(search, "FEW", 0)
    assert torch.equal(quick, search.rounding_errors(q, observed, ranges))
    assert quick.shape == (3, 6, 1)


@pytest.mark.parametrize("name", ["apot", "dorefa", "n2uq"])
def test_what_does_more_than_round_is_tried_range_by_range(name, at_once):
    for role in ("weight", "input"):
        calibrated(name, role, WEIGHT, (6, 1) if role == "weight" and name != "dorefa" else ())
    assert not at_once


@pytest.mark.parametrize(
    ("v", "scale_shape"),
    [
        (WEIGHT.double(), (6, 1)),
        (WEIGHT.bfloat16(), (6, 1)),
        (WEIGHT.view(4, 6, 10), (1, 6, 1)),
        (WEIGHT.view(6, 10, 2, 2).contiguous(memory_format=torch.channels_last), (6, 1, 1, 1)),
    ],
    ids=["float64", "bfloat16", "channels on the second axis", "channels last"],
)
def test_values_of_other_kinds_are_tried_range_by_range(v, scale_shape, at_once):
    assert calibrated("lsq", "weight", v, scale_shape).scale.shape == scale_shape
    assert not at_once


def test_fractions_are_those_of_the_dtype_of_the_values():
    """In float64 0.37 is not the float32 next to it: the scale is that of a range that was tried."""
    q, observed = LSQPlus(bits=3, role="weight", scale_shape=(6, 1)).double(), Observer((6, 1))
    observed.add(WEIGHT.double())
    q.calibrate(observed, "mse")
    steps = q.step_size * q.qmax / torch.maximum(-observed.low * q.qmax / -q.qmin, observed.high)
    assert (steps * 100 - (steps * 100).round()).abs().max() < 1e-9  # by float32 it would be 1e-6


class Shifting(Quantizer):
    """The smaller the range, the fewer the codes below zero."""

    def set_range(self, low, high):
        self.set_bounds(-int(4 * high), 7)
        self.set_scale(high / self.qmax)


class SharedStep(Quantizer):
    """One step for all channels, a power of two."""

    @property
    def step_size(self):
        return torch.exp2(self.safe_scale.max().log2().round())


class SomeOffset(Quantizer):
    """An offset in one of the ranges alone."""

    def set_range(self, low, high):
        super().set_range(low, high)
        self.shift = 0.3 * torch.ones_like(low) if bool((high == WEIGHT.max()).all()) else None

    @property
    def grid_offset(self):
        return self.shift


@pytest.mark.parametrize("kind", [Shifting, SharedStep, SomeOffset])
def test_grids_that_differ_in_more_than_scales_are_tried_range_by_range(kind, both_ways):
    role, scale_shape = ("weight", (6, 1)) if kind is SharedStep else ("input", ())
    assert not both_ways(kind, role, WEIGHT if role == "weight" else WEIGHT.flatten(), scale_shape)


def test_of_equal_errors_that_of_the_first_range_counts(monkeypatch):
    """Which is a fifth of the whole."""
    monkeypatch.setattr(search, "rounding_errors", lambda q, observed, ranges: torch.ones(len(ranges), 6, 1))
    ours, whole = (
        calibrated("lsq", "weight", WEIGHT, (6, 1)),
        LSQPlus(bits=3, role="weight", scale_shape=(6, 1)),
    )
    whole.calibrate(_observed(WEIGHT, (6, 1)), "minmax")
    assert torch.allclose(ours.scale, 0.2 * whole.scale)


@pytest.mark.parametrize("few", [0, search.FEW])
def test_without_a_finite_error_the_range_is_the_whole_one(few, monkeypatch):
    """Squares of 10²⁴ are infinite in float32, except in a channel of small values."""
    monkeypatch.setattr(search, "FEW", few)
    v = torch.tensor([[-1e25, 0.4e25, 1e25], [-1.0, 0.4, 1.0]])
    alone = calibrated("lsq", "weight", v[1:], (1, 1), bits=4).scale
    both = calibrated("lsq", "weight", v, (2, 1), bits=4).scale
    assert both.flatten().tolist() == pytest.approx([1e25 / 7, alone.item()])


@pytest.mark.parametrize("few", [0, search.FEW])
def test_an_error_that_is_not_a_number_is_no_smallest_one(few, monkeypatch):
    monkeypatch.setattr(search, "FEW", few)
    v = torch.tensor([[torch.nan, 1.0], [-1.0, 1.0]])
    q, observed = LSQPlus(bits=4, role="weight", scale_shape=(2, 1)), _observed(v, (2, 1))
    errors = search.rounding_errors(q, observed, [(-torch.ones(2, 1), torch.ones(2, 1))])
    assert errors[0, 0].item() == torch.inf
    assert errors[0, 1].isfinite()


def test_inputs_with_several_scales_share_the_ends_that_are_best_for_all():
    v = torch.stack([WEIGHT[0], 2 * WEIGHT[1]])
    fraction, ends = LSQPlus(bits=3, role="input", scale_shape=(2, 1)), []
    Quantizer._search(fraction, _observed(v, (2, 1)))
    for q in (fraction, calibrated(LSQPlus, "input", v, (2, 1))):
        ends.append((q.quantize(v) - v).square().mean().item())
    assert ends[1] < 0.98 * ends[0]


def _observed(v: Tensor, scale_shape: tuple[int, ...]) -> Observer:
    observed = Observer(scale_shape, keep_all=True)
    observed.add(v)
    return observed
