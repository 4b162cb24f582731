"""A cell compared with itself under other rounding: how far a faithful file may differ from it.

Runtimes add up the products of a layer in other orders, so sums differ in their last digits. Where one lies
at the border of two codes it is rounded to the other one, which is a whole step in the next layer, and there
moves more codes. So in deep networks differences grow to some level whatever began them, and a file that
describes exactly the cell's network differs from it by as much as the cell from itself.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from flatqat.models.base import Normalized
from flatqat.quant.apply import quantizable


@contextmanager
def rounded_otherwise(model: Normalized, seed: int = 0) -> Iterator[None]:
    """Within the context, each output of a layer is the float32 below it, itself, or the one above it."""
    generator = torch.Generator().manual_seed(seed)

    def change(module: Any, args: Any, output: Tensor) -> Tensor:
        towards = torch.inf * torch.randint(-1, 2, output.shape, generator=generator)  # NaN: stay
        return torch.where(towards.isnan(), output, torch.nextafter(output, towards))

    hooks = [layer.register_forward_hook(change) for layer in quantizable(model.net).values()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def control(model: Normalized) -> Callable[[Tensor], Tensor]:
    """Return a function from images to a cell's logits under other rounding, in float32 like its file."""

    def run(images: Tensor) -> Tensor:
        with rounded_otherwise(model):
            logits: Tensor = model(images)
        return logits

    return run
