"""Fused kernels, blocks and formulas: one result, also under functorch and a compiler."""

import os
import subprocess
import sys
from types import ModuleType

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from flatqat.models.base import build
from flatqat.quant.apply import calibrate, quantize_
from flatqat.quant.kernels import blocks, compiled, dispatch, formulas, fused
from flatqat.quant.kernels.layout import layout_of
from flatqat.quant.kernels.rule import Grid, Rule
from flatqat.quant.ops import fake_quantize, fake_quantize_by
from flatqat.spec import QuantSpec
from tests.helpers.kernels import needs_compiler, random
from tests.helpers.slow import slow

RULES = [
    Rule(-8, 7, factor=0.25),
    Rule(0, 15, open_low=True, open_high=True),
    Rule(-2, 1, delta=0.3),
    Rule(-7, 7, open_low=True, open_high=True, residual=False, divisor=7),
]


def grids() -> dict[str, tuple[Tensor, Tensor]]:
    """Values and scales: every layout that kernels take, with values beyond, on and between the levels."""
    image, weight = 3 * random(4, 6, 5, 5), 3 * random(6, 4, 3, 3, seed=1)
    image.view(-1)[:4] = torch.tensor([0.0, torch.inf, -torch.inf, torch.nan])
    weight.view(-1)[4:10] = torch.tensor([-2.0, -1.75, 1.75, 0.125, 0.375, -0.125])
    per_channel = torch.tensor([0.25, 0.5, 0.0, -0.3, 1e-12, 2.0])
    large = random(70, 2048, seed=2)
    return {
        "one grid": (image, torch.tensor(0.25)),
        "one grid, channels last": (image.contiguous(memory_format=torch.channels_last), torch.tensor(0.25)),
        "one grid, transposed": (image.transpose(1, 3), torch.tensor(0.25)),
        "output channels": (weight, per_channel.view(6, 1, 1, 1)),
        "output channels, channels last": (
            weight.contiguous(memory_format=torch.channels_last),
            per_channel.view(6, 1, 1, 1),
        ),
        "second axis": (image, per_channel.view(1, 6, 1, 1)),
        "more than a block": (large, torch.tensor(0.25)),
        "a block of rows": (large, torch.linspace(0.1, 0.5, 70).view(70, 1)),
    }


@needs_compiler
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", grids())
def test_compiled_kernels_give_what_the_formulas_give(name, dtype, rule):
    v, scale = grids()[name]
    v, offset = v.to(dtype), 0.1 * scale
    layout = layout_of(v, scale, offset)
    if name == "one grid, transposed":
        assert layout is None
        return
    assert layout is not None
    check(compiled, Grid(v, scale, offset, rule, layout))
    check(compiled, Grid(v, scale, None, rule, layout))


def check(module: ModuleType, grid: Grid) -> None:
    """Check values to the bit and sums to the rounding of float32: they are added in another order."""
    v, scale, offset, rule, _ = grid
    grad = random(*v.shape, seed=3).to(v.dtype)
    assert_same(module.levels(grid), formulas.levels(grid))
    assert_same(module.inside(grid), formulas.inside(grid))
    on_v, *sums = module.vjp(grid, grad)
    wanted_on_v, *wanted = formulas.vjp(grid, grad)
    assert_same(on_v, wanted_on_v)
    wide = [t if t is None else t.double() for t in (v, scale, offset)]
    exact = formulas.vjp(Grid(*wide, rule), grad.double())
    for found, known, plain in zip(sums, exact[1:], wanted, strict=True):
        if v.isfinite().all() and v.dtype == torch.float32:
            torch.testing.assert_close(found, known.float(), rtol=1e-5, atol=1e-4)
        torch.testing.assert_close(found, plain, rtol=1e-4, atol=1e-3, equal_nan=True)
    if not rule.delta:
        tangents = grad, scale, offset
        torch.testing.assert_close(module.jvp(grid, *tangents), formulas.jvp(grid, *tangents), equal_nan=True)


def assert_same(found: Tensor, wanted: Tensor) -> None:
    assert found.dtype == wanted.dtype
    torch.testing.assert_close(found, wanted, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", grids())
def test_blocks_give_what_the_formulas_give(name, rule, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 64)
    v, scale = grids()[name]
    check(blocks, Grid(v, scale, 0.1 * scale, rule))
    check(blocks, Grid(v, scale, None, rule))


def test_blocks_do_not_take_the_whole_tensor_at_once(monkeypatch):
    sizes = []
    plain = formulas.levels
    monkeypatch.setattr(formulas, "levels", lambda grid: sizes.append(grid.v.numel()) or plain(grid))
    blocks.levels(Grid(random(3, 2**17), torch.full((3, 1), 0.1), None, RULES[0]))
    blocks.levels(Grid(random(3, 2**17), torch.tensor(0.1), None, RULES[0]))
    assert sizes == [2**17] * 3 + [2**16] * 6


@needs_compiler
def test_sums_do_not_depend_on_the_number_of_threads():
    v, grad, scale = random(3, 2**17), random(3, 2**17, seed=1), torch.tensor(0.1)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(dispatch.vjp(Grid(v, scale, scale, RULES[0]), grad))
    finally:
        torch.set_num_threads(before)
    assert all(map(torch.equal, *results))


@needs_compiler
def test_kernels_do_not_depend_on_torch_s_defaults():
    v, level, scale = random(4, 8), random(4, 8, seed=1), torch.tensor(0.25)
    wanted, found = [[torch.zeros(4, 8), torch.ones(4, 8)] for _ in range(2)]
    formulas.attract_(Grid(v, scale, None, RULES[0]), *wanted, level, 0.25, 2.0)
    torch.set_default_dtype(torch.float64)
    try:
        assert fused.agrees(compiled, "cpu")
        dispatch.attract_(Grid(v, scale, None, RULES[0]), *found, level, 0.25, 2.0)
    finally:
        torch.set_default_dtype(torch.float32)
    torch.testing.assert_close(found, wanted)


def test_tensors_without_values_are_rounded_by_the_formulas():
    v, scale = torch.empty(4, 8, device="meta", requires_grad=True), torch.tensor(0.1, device="meta")
    fake_quantize(v, scale, -8, 7).sum().backward()
    assert v.grad is not None


def test_a_vjp_takes_transposed_weights_together():
    v, level = random(6, 4).t(), random(6, 4, seed=1).t()
    scale = torch.tensor(0.25)
    wanted, found = [[random(6, 4, seed=2).t(), random(6, 4, seed=3).t()] for _ in range(2)]
    formulas.attract_(Grid(v, scale, None, RULES[0]), *wanted, level, 0.25, 2.0)
    dispatch.attract_(Grid(v, scale, None, RULES[0]), *found, level, 0.25, 2.0)
    torch.testing.assert_close(found, wanted)


def test_zeros_keep_their_sign():
    v = torch.tensor([-0.01, -0.0, 0.0, 0.01])
    assert fake_quantize(v, torch.tensor(0.1), -8, 7).signbit().tolist() == [True, True, False, False]


def test_a_value_that_is_not_a_number_stops_second_derivatives_as_first_ones():
    v, scale = torch.tensor([torch.nan, 0.2], requires_grad=True), torch.tensor(0.1)
    upstream = torch.ones(2, requires_grad=True)
    (first,) = torch.autograd.grad(fake_quantize(v, scale, -8, 7), v, upstream, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), upstream)
    assert second.tolist() == [0.0, 1.0]


@pytest.mark.parametrize("delta", [0.0, 0.3])
def test_a_third_derivative_in_the_upstream_gradient_is_there(delta):
    v, scale = random(20).requires_grad_(), torch.tensor(0.4)
    upstream = random(20, seed=1).requires_grad_()
    rounded = fake_quantize_by(Rule(-2, 1, delta=delta), v, scale)
    (first,) = torch.autograd.grad(rounded, v, upstream, create_graph=True)
    (second,) = torch.autograd.grad(first.pow(3).sum(), upstream, create_graph=True)
    (third,) = torch.autograd.grad(second.sum(), upstream)
    slope = (first / upstream).detach()
    torch.testing.assert_close(third, 6 * slope**3 * upstream.detach())


def test_the_backward_pass_keeps_its_input_alone():
    v, scale = random(64, 64).requires_grad_(), torch.tensor(0.1, requires_grad=True)
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        fake_quantize(v, scale, -8, 7)
    assert {t.data_ptr() for t in kept if t is not None} == {v.data_ptr(), scale.data_ptr()}


class Calls(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func._schema.name)
        return func(*args, **(kwargs or {}))


def test_a_rounding_is_one_operator_in_each_direction():
    v, scale = random(8, 8).requires_grad_(), torch.tensor(0.1, requires_grad=True)
    upstream = torch.ones(8, 8)
    with Calls() as calls:
        out = fake_quantize(v, scale, -8, 7)
    with Calls() as back:
        torch.autograd.grad(out, (v, scale), upstream)
    assert calls.names == ["flatqat::levels"]
    assert [name for name in back.names if name != "aten::detach"] == ["flatqat::vjp"]


def loss(v: Tensor, scale: Tensor, offset: Tensor) -> Tensor:
    return fake_quantize(v, scale, -4, 3, 0.5, offset).sin().sum()


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:FutureWarning")  # torch's own use
def test_functorch_gives_the_derivatives_of_autograd():
    v, scale, offset = random(5, 3), torch.tensor(0.3), torch.tensor(0.1)
    leaves = [t.clone().requires_grad_() for t in (v, scale, offset)]
    wanted = torch.autograd.grad(loss(*leaves), leaves, create_graph=True)
    found = torch.func.grad(loss, (0, 1, 2))(v, scale, offset)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other.detach(), rtol=1e-6, atol=1e-6)
    direction = random(5, 3, seed=1)
    (product,) = torch.autograd.grad((wanted[0] * direction).sum(), leaves[0])
    _, forward_over_reverse = torch.func.jvp(
        lambda x: torch.func.grad(loss)(x, scale, offset), (v,), (direction,)
    )
    torch.testing.assert_close(forward_over_reverse, product, rtol=1e-5, atol=1e-6)
    _, tangent = torch.func.jvp(lambda s: loss(v, s, offset), (scale,), (torch.tensor(2.0),))
    torch.testing.assert_close(tangent, 2 * wanted[1].detach(), rtol=1e-5, atol=1e-6)


def test_functorch_maps_over_batches_and_scales():
    values, scales, offset = random(4, 5, 3), torch.tensor([0.1, 0.2, 0.3, 0.4]), torch.tensor(0.1)
    together = torch.func.vmap(torch.func.grad(loss, (0, 1)), in_dims=(0, 0, None))(values, scales, offset)
    for i in range(4):
        alone = torch.func.grad(loss, (0, 1))(values[i], scales[i], offset)
        for one, other in zip(together, alone, strict=True):
            torch.testing.assert_close(one[i], other, rtol=1e-5, atol=1e-6)


def test_half_precision_stays_under_autocast_and_is_what_layers_would_round_to():
    v, scale = random(4, 8).bfloat16().requires_grad_(), torch.tensor(0.1, requires_grad=True)
    wide = fake_quantize(v, scale, -8, 7)
    with torch.autocast("cpu", torch.bfloat16):
        half = fake_quantize(v, scale, -8, 7)
    assert wide.dtype == torch.float32
    assert half.dtype == torch.bfloat16
    assert torch.equal(half, wide.bfloat16())
    (grad,) = torch.autograd.grad(half.sum(), v)
    assert grad.dtype == torch.bfloat16


@pytest.mark.parametrize("quantizer", ["lsq", *slow("pact", "lsqplus", "ewgs", "minmax", "dorefa")])
def test_a_quantized_network_compiles_as_one_graph(quantizer):
    x = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    model = build("tiny", classes=10, seed=0)
    quantize_(model.net, QuantSpec.parse(f"4@{quantizer}"))
    calibrate(model, [x])
    model.eval()  # BatchNorm moves its statistics in training
    torch.compiler.reset()
    whole = torch.compile(model, backend="aot_eager", fullgraph=True)
    grads = []
    for network in (model, whole):
        model.zero_grad()
        network(x).square().sum().backward()
        grads.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


INTERPRETED = """
import torch
from flatqat.quant.kernels import on_cuda, fused
assert fused.agrees(on_cuda, "cpu")
print("agrees")
"""


def test_the_kernels_for_cuda_agree_with_the_formulas_in_triton_s_interpreter():
    pytest.importorskip("triton", reason="triton is not installed")
    env = os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, "-c", INTERPRETED], capture_output=True, text=True, env=env)
    assert done.stdout.strip() == "agrees", done.stderr[-2000:]
