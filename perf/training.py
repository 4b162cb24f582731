"""What fake quantization costs: a rounding against torch's own, every quantizer against LSQ, a QAT step and a
forward pass against full precision.

    python perf/training.py

One thread. Each row is a ratio of medians taken in turns within one run, because the machine's speed wanders.
"""

from collections.abc import Callable
from contextlib import nullcontext
from statistics import median
from time import perf_counter

import torch
from torch import Tensor
from torch.nn import functional as F

from flatqat import registry
from flatqat.methods.base import Setup
from flatqat.models.base import build
from flatqat.quant.apply import cached_weights, calibrate, quantize_
from flatqat.quant.base import Quantizer, Role
from flatqat.quant.observe import Observer
from flatqat.quant.ops import fake_quantize
from flatqat.spec import QuantSpec, Recipe

ROUNDS = 9
RECIPE = Recipe(pretrain_steps=0, steps=1000, batch_size=64)


def medians(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median seconds of each call; the calls take turns."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            began = perf_counter()
            call()
            times[name].append(perf_counter() - began)
    return {name: median(values) for name, values in times.items()}


def rounding() -> dict[str, Callable[[], object]]:
    """Forward and backward of one activation tensor, with a gradient of the scale where there is one."""
    x = torch.randn(64, 16, 32, 32, generator=torch.Generator().manual_seed(0)).requires_grad_()
    scale, zero = torch.tensor([0.3], requires_grad=True), torch.zeros(1)

    def backward(out: Tensor) -> None:
        out.backward(torch.ones_like(out))

    def hand_written() -> Tensor:
        ratio = (x / scale).clamp(-8, 7)
        return (ratio + (ratio.round() - ratio).detach()) * scale

    return {
        "flatqat": lambda: backward(fake_quantize(x, scale, -8, 7)),
        "straight-through in tensor operations": lambda: backward(hand_written()),
        "torch, learnable scale": lambda: backward(
            torch._fake_quantize_learnable_per_tensor_affine(x, scale, zero, -8, 7, 1.0)
        ),
        "torch, fixed scale": lambda: backward(torch.fake_quantize_per_tensor_affine(x, 0.3, 0, -8, 7)),
    }


def grids(role: Role) -> dict[str, Callable[[], object]]:
    """Forward and backward of one tensor through every quantizer at 4 bits, LSQ first: an input that was
    never negative, or the weights of a layer."""
    shape = (64, 16, 32, 32) if role == "input" else (256, 256, 3, 3)
    v = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    v = v.relu_() if role == "input" else v.mul_(0.05)
    calls: dict[str, Callable[[], object]] = {}
    for name in sorted(registry.names(registry.QUANTIZERS), key=lambda name: (name != "lsq", name)):
        quantizer = registry.load(registry.QUANTIZERS, name)
        q = quantizer(bits=4, role=role, scale_shape=(256, 1, 1, 1) if per_channel(quantizer, role) else ())
        seen = Observer(tuple(q.scale.shape))
        seen.add(v)
        q.calibrate(seen, "minmax")
        leaf = v.clone().requires_grad_()
        calls[name] = lambda q=q, leaf=leaf: q(leaf).backward(torch.ones_like(leaf))
    return calls


def per_channel(quantizer: type[Quantizer], role: Role) -> bool:
    return role == "weight" and quantizer.per_channel


def inference() -> dict[str, Callable[[], object]]:
    """Scoring 64 images with ResNet-20, weights rounded once."""
    x = torch.rand(64, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    calls: dict[str, Callable[[], object]] = {}
    for bits in ("fp", "4", "w4a32"):
        model = build("cifar:resnet20", classes=10, seed=0)
        quantize_(model.net, QuantSpec.parse(bits))
        calibrate(model, [x])
        model.eval()
        calls[bits] = torch.inference_mode()(lambda model=model: model(x))
    return calls


def steps() -> dict[str, Callable[[], object]]:
    """One training step of ResNet-20 on 64 images."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(64, 3, 32, 32, generator=generator), torch.randint(10, (64,), generator=generator)
    calls: dict[str, Callable[[], object]] = {}
    others = [("qat", f"4@{name}") for name in registry.names(registry.QUANTIZERS) if name != "lsq"]
    for method, bits in (("fp", "fp"), ("qat", "4"), ("qat", "w4a32"), ("anchor", "4"), *others):
        model = build("cifar:resnet20", classes=10, seed=0)
        quantize_(model.net, QuantSpec.parse(bits))
        setup = Setup(model=model, loss=F.cross_entropy, recipe=RECIPE)
        rule = registry.load(registry.METHODS, method)(setup)
        rule.begin([(x, y)])
        calls[f"{method} {bits}"] = lambda rule=rule: rule.step(x, y)
    return calls


def main() -> None:
    """Print the tables; the first row of each is the unit."""
    torch.set_num_threads(1)
    tables = {
        "rounding, forward and backward": rounding(),
        "4-bit input, forward and backward": grids("input"),
        "4-bit weights, forward and backward": grids("weight"),
        "training step": steps(),
        "inference": inference(),
    }
    for title, calls in tables.items():
        with cached_weights() if title == "inference" else nullcontext():
            found = medians(calls)
        unit = next(iter(found.values()))
        print(f"{title} (unit {1000 * unit:.1f} ms)")
        for name, value in found.items():
            print(f"  {name:<40}{value / unit:6.2f}")


if __name__ == "__main__":
    main()
