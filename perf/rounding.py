"""One tensor through a quantizer.

Forward and backward. The first row is LSQ's rounding of an activation tensor of (64, 16, 32, 32), with a
gradient of the scale. The second is its search for ranges, of the weights of a layer of (16, 16, 3, 3): few
values are rounded in all ranges at once. The others are every quantizer at 4 bits in units of LSQ, on the
weights of a layer of (256, 256, 3, 3) and on an input that is never negative.
"""

from unittest.mock import patch

import torch
from torch import Tensor

from flatqat import registry
from flatqat.quant import search
from flatqat.quant.base import Quantizer, Role
from flatqat.quant.observe import Observer
from flatqat.quant.ops import fake_quantize
from perf.rounds import Call, Row, row, turns

ACTIVATIONS, WEIGHTS, FEW_WEIGHTS = (64, 16, 32, 32), (256, 256, 3, 3), (16, 16, 3, 3)


def rows(rounds: int) -> list[Row]:
    return [
        _beside_torch(rounds),
        _search(rounds),
        *_quantizers("weight", rounds),
        *_quantizers("input", rounds),
    ]


def _beside_torch(rounds: int) -> Row:
    calls = operators()
    times = turns(calls, rounds)
    ours, unit, *peers = calls
    return row(f"rounding of a tensor, {ours} / {unit}", times, ours, unit, peers=peers)


def operators() -> dict[str, Call]:
    """Four ways to round and differentiate one tensor; the last one has no gradient of the scale."""
    x = torch.randn(ACTIVATIONS, generator=torch.Generator().manual_seed(0)).requires_grad_()
    scale, zero = torch.tensor([0.3], requires_grad=True), torch.zeros(1)

    def backward(out: Tensor) -> None:
        out.backward(torch.ones_like(out))

    def hand_written() -> Tensor:
        ratio = (x / scale).clamp(-8, 7)
        return (ratio + (ratio.round() - ratio).detach()) * scale

    return {
        "flatqat": lambda: backward(fake_quantize(x, scale, -8, 7)),
        "torch, learnable": lambda: backward(
            torch._fake_quantize_learnable_per_tensor_affine(x, scale, zero, -8, 7, 1.0)
        ),
        "tensor operations": lambda: backward(hand_written()),
        "torch, fixed scale": lambda: backward(torch.fake_quantize_per_tensor_affine(x, 0.3, 0, -8, 7)),
    }


def _search(rounds: int) -> Row:
    calls = searches()
    ours, other = calls
    return row(f"search for ranges, {ours} / {other}", turns(calls, rounds), ours, other)


def searches() -> dict[str, Call]:
    """The search for the ranges of few weights: with all ranges at once, and with one after another."""
    q = registry.load(registry.QUANTIZERS, "lsq")(
        bits=4, role="weight", scale_shape=(FEW_WEIGHTS[0], 1, 1, 1)
    )
    seen = Observer(tuple(q.scale.shape))
    seen.add(torch.randn(FEW_WEIGHTS, generator=torch.Generator().manual_seed(0)))

    def of_few(few: int) -> Call:
        def call() -> None:
            with patch.object(search, "FEW", few):
                q.calibrate(seen, "mse")

        return call

    return {"all at once": of_few(search.FEW), "one by one": of_few(0)}


def _quantizers(role: Role, rounds: int) -> list[Row]:
    calls = grids(role)
    times = turns(calls, rounds)
    kind = "4-bit weights" if role == "weight" else "4-bit input"
    return [row(f"{kind}, {name} / lsq", times, name, "lsq") for name in calls if name != "lsq"]


def grids(role: Role) -> dict[str, Call]:
    """Return the forward and backward pass of one tensor through every quantizer."""
    v = torch.randn(ACTIVATIONS if role == "input" else WEIGHTS, generator=torch.Generator().manual_seed(0))
    v = v.relu_() if role == "input" else v.mul_(0.05)
    calls: dict[str, Call] = {}
    for name in sorted(registry.names(registry.QUANTIZERS)):
        quantizer: type[Quantizer] = registry.load(registry.QUANTIZERS, name)
        per_channel = role == "weight" and quantizer.per_channel
        q = quantizer(bits=4, role=role, scale_shape=(WEIGHTS[0], 1, 1, 1) if per_channel else ())
        seen = Observer(tuple(q.scale.shape))
        seen.add(v)
        q.calibrate(seen, "minmax")
        leaf = v.clone().requires_grad_()
        calls[name] = lambda q=q, leaf=leaf: q(leaf).backward(torch.ones_like(leaf))
    return calls
