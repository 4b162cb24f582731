"""A user's own quantizer is exported exactly or refused with the layer, its tensor and the reason."""

import pytest
import torch

from flatqat.errors import UsageError
from flatqat.export.nodes import Nodes, add_weight
from flatqat.export.read import input_grid, weight_codes
from flatqat.quant.base import Quantizer
from flatqat.quant.ops import fake_quantize
from tests.helpers.onnx_runs import graph_of, run


class Dynamic(Quantizer):
    """Its range is that of the values at hand."""

    def project(self, u):
        return fake_quantize(u, u.abs().max() / self.qmax, self.qmin, self.qmax)


class Falling(Quantizer):
    """A larger value has a smaller level and code."""

    def normalize(self, v):
        return -v


class Coarse(Quantizer):
    """What it returns is no level of its codes."""

    def project(self, u):
        return super().project(u).mul(0.5)


class Random(Quantizer):
    """Rounds up or down by chance."""

    def project(self, u):
        return super().project(u + torch.rand_like(u) - 0.5)


class Squares(Quantizer):
    """Levels s² k |k|, nearest in the square root."""

    def normalize(self, v):
        return v.abs().sqrt() * v.sign()

    def project(self, u):
        level = super().project(u)
        return level * level.abs()

    def dequantize(self, codes):
        level = super().dequantize(codes)
        return level * level.abs()


@pytest.mark.parametrize("kind", [Dynamic, Falling, Coarse, Random])
def test_an_input_that_no_grid_says(kind):
    quantizer = kind(bits=4, role="input")
    with pytest.raises(
        UsageError, match=f"layer conv1: expected of the quantizer of its input .* {kind.__name__}"
    ):
        input_grid(quantizer, "conv1")


@pytest.mark.parametrize("kind", [Dynamic, Coarse, Random])
def test_a_weight_whose_values_are_no_levels(kind):
    with pytest.raises(UsageError, match=r"layer conv1: expected of the quantizer of its weight"):
        weight_codes(kind(bits=4, role="weight"), torch.linspace(-9, 9, 60).view(3, 20), "conv1")


def test_one_grid_for_each_channel_of_an_input_is_refused():
    quantizer = Quantizer(bits=4, role="input", scale_shape=(3, 1, 1))
    with pytest.raises(UsageError, match="one grid for all of an input"):
        input_grid(quantizer, "conv1")


def test_a_grid_of_its_own_becomes_a_table():
    quantizer = Squares(bits=4, role="input")
    grid = input_grid(quantizer, "conv1")
    values = torch.linspace(-90, 90, 4001)
    assert grid.scale is None
    assert torch.equal(grid.dequantize(grid.codes(values)), quantizer.quantize(values))
    assert grid.levels.tolist() == [float(k * abs(k)) for k in range(-8, 8)]


@pytest.mark.parametrize("axis", [0, 1])
def test_tables_of_each_channel(axis):
    weight = torch.linspace(-90, 90, 60).view(3, 20)
    quantizer = Squares(bits=4, role="weight", scale_shape=(3, 1) if axis == 0 else (1, 20))
    quantizer.channel_axis = axis
    quantizer.scale.copy_(torch.linspace(0.5, 1.5, quantizer.scale.numel()).view_as(quantizer.scale))
    stored = weight_codes(quantizer, weight, "conv1")
    assert stored.grid.levels.shape == (weight.shape[axis], 16)
    nodes = Nodes("conv1.weight")
    nodes.add("Add", add_weight(nodes, stored), "zero")
    proto = graph_of(nodes, nodes.nodes[-1].output[0], 2, zero=[])
    assert torch.equal(run(proto, zero=torch.tensor(0.0)), quantizer.quantize(weight))
