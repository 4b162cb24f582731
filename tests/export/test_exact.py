"""Every quantizer in onnxruntime: the same levels to the bit, on ties and on both sides of every change."""

import pytest
import torch

from flatqat import registry
from flatqat.export.nodes import Nodes, add_rounding, add_weight
from flatqat.export.read import input_grid, weight_codes
from flatqat.export.thresholds import number, order
from tests.helpers.observers import observed
from tests.helpers.onnx_runs import graph_of, run

NAMES = registry.names(registry.QUANTIZERS)
BITS = range(2, 9)
RANDOM = torch.Generator().manual_seed(0)
LARGEST = torch.finfo(torch.float32).max


def made(name, bits, **settings):
    return registry.load(registry.QUANTIZERS, name)(bits=bits, **settings)


def hard_values(quantizer) -> torch.Tensor:
    """Ties, their neighbors, zeros, huge values and others, whatever the grid is."""
    step = quantizer.step_size.detach()
    offset = 0 if quantizer.grid_offset is None else quantizer.grid_offset.detach()
    halves = torch.arange(2 * quantizer.qmin - 5, 2 * quantizer.qmax + 6) / 2
    ties = order(halves * step + offset)
    edges = torch.tensor([0.0, -0.0, LARGEST, -LARGEST, 1e30, -1e30, 1e-30, -1e-30])
    spread = 3 * torch.randn(500, generator=RANDOM)
    return torch.cat([number(ties - 1), number(ties), number(ties + 1), edges, spread])


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_inputs(name, signed):
    sample = 3 * torch.randn(2000, generator=RANDOM)
    for bits in BITS:
        quantizer = made(name, bits, role="input")
        quantizer.calibrate(observed(sample if signed else sample.relu()), "minmax" if bits % 2 else "own")
        grid, values = input_grid(quantizer, "layer"), hard_values(quantizer)
        if grid.thresholds is not None:
            changes = order(grid.thresholds[grid.thresholds.isfinite()])
            values = torch.cat([values, number(changes), number(changes + 1)])
        nodes = Nodes("layer.input")
        output = add_rounding(nodes, grid, "v")
        with torch.no_grad():
            expected = quantizer.quantize(values)
        got = run(graph_of(nodes, output, 1, v=[None]), v=values)
        assert torch.equal(got, expected), bits
        assert len(expected.unique()) > 2 or bits == 2


@pytest.mark.parametrize("name", ["lsq", "lsqplus", "pact"])
def test_a_negative_scale_counts_by_its_magnitude(name):
    quantizer = made(name, 4, role="input")
    quantizer.calibrate(observed(torch.randn(500, generator=RANDOM).relu()))
    quantizer.scale.data.neg_()
    values = hard_values(quantizer)
    nodes = Nodes("layer.input")
    output = add_rounding(nodes, input_grid(quantizer, "layer"), "v")
    with torch.no_grad():
        assert torch.equal(run(graph_of(nodes, output, 1, v=[None]), v=values), quantizer.quantize(values))


@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("name", NAMES)
def test_weights(name, axis):
    weight = torch.randn(6, 5, 3, 3, generator=RANDOM) * torch.rand(6, 5, 1, 1, generator=RANDOM)
    shape = () if axis is None else (6, 1, 1, 1) if axis == 0 else (1, 5, 1, 1)
    for bits in BITS:
        quantizer = made(name, bits, role="weight", scale_shape=shape)
        quantizer.channel_axis = axis or 0
        quantizer.calibrate(observed(weight, scale_shape=shape, keep_all=True))
        if quantizer.learns_scale:
            quantizer.scale.data.view(-1)[0].neg_()
        nodes = Nodes("layer.weight")
        codes = weight_codes(quantizer, weight, "layer")
        nodes.add("Add", add_weight(nodes, codes), "zero")
        with torch.no_grad():
            expected = quantizer.quantize(weight)
        got = run(graph_of(nodes, nodes.nodes[-1].output[0], 4, zero=[]), zero=torch.tensor(0.0))
        assert torch.equal(got, expected), bits
        assert (nodes.initializers[0].data_type in (21, 22)) == (codes.grid.count <= 16)  # UINT4, INT4
        assert torch.equal(codes.codes, quantizer.codes(weight))
