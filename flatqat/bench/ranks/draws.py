"""Random numbers of layers for a part of a batch: those that a single process would draw for its images.

Layers draw from the global generator, which all processes seed alike. Each draws for the whole batch, and
takes the rows of its own images.
"""

from collections.abc import Callable
from inspect import isfunction
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverloadPacket
from torch.nn import functional as F

from flatqat.errors import TrainingFailed

SEEDED = torch.Tag.nondeterministic_seeded
DROPOUTS = (F.dropout, F.dropout1d, F.dropout2d, F.dropout3d)
FILLING = (torch.Tensor.bernoulli_, torch.Tensor.uniform_, torch.Tensor.normal_)


class Draws:
    """What replaces functions that draw random numbers, for the images `rows` of a batch of `whole`.

    So that all of the `processes` decide alike, each knows how many images the others have.
    """

    def __init__(self, rows: slice, whole: int, processes: int) -> None:
        self._rows, self._whole, self._images = rows, whole, rows.stop - rows.start
        self._counts = {whole // processes, -(-whole // processes)}

    def instead_of(self, function: Any) -> Callable[..., Any]:
        """Return what stands for a function: itself, where it draws nothing."""
        if function in DROPOUTS:
            return self._dropout(function)
        if function in FILLING:
            return self._filled(function)
        return self._undivided(function) if may_draw(function) else function

    def _dropout(self, function: Any) -> Callable[..., Tensor]:
        def dropped(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
            if not training or p == 0:
                return input
            if not input.ndim or len(input) % self._images:
                raise TrainingFailed(_cannot(function, _for(input, "are not those of images")))
            kept = self._own_rows(function, input.new_ones(self._whole_shape(input)), p)
            return input.mul_(kept) if inplace else input * kept

        return dropped

    def _filled(self, function: Any) -> Callable[..., Tensor]:
        """Fill the own rows of a tensor of images; all processes fill any other tensor alike.

        Another one has a single row, as when a layer is dropped for all images, or the shape of weights; some
        shapes are ambiguous. Only a column filled by `bernoulli_` drops a layer for images, or their windows.
        """

        def filled(tensor: Tensor, *args: Any, generator: Any = None, **kwargs: Any) -> Tensor:
            size = len(tensor) if tensor.ndim else 0
            column = function is torch.Tensor.bernoulli_ and tensor.ndim > 1 and tensor.numel() == size
            of_images = size == self._images or (column and size % self._images == 0)
            shared = all(size % images for images in self._counts)
            if generator is not None or not size or (shared and not of_images):
                alike: Tensor = function(tensor, *args, generator=generator, **kwargs)
                return alike
            if not of_images or (size == self._images and 1 in self._counts):
                raise TrainingFailed(_cannot(function, _for(tensor, "may be those of images or not")))
            with torch.no_grad():
                empty = tensor.new_empty(self._whole_shape(tensor))
                return tensor.copy_(self._own_rows(function, empty, *args, **kwargs))

        return filled

    def _undivided(self, function: Any) -> Callable[..., Any]:
        """Let a function run, but raise TrainingFailed if it draws from the global generator."""

        def called(*args: Any, **kwargs: Any) -> Any:
            before = states()
            result = function(*args, **kwargs)
            if not all(map(torch.equal, before, states())):
                raise TrainingFailed(_cannot(function, "draws random numbers"))
            return result

        return called

    def _whole_shape(self, tensor: Tensor) -> tuple[int, ...]:
        """Return the shape of a tensor for the whole batch."""
        return self._whole * (len(tensor) // self._images), *tensor.shape[1:]

    def _own_rows(self, function: Any, whole: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return the own rows of what a function makes of a tensor for the whole batch."""
        each = len(whole) // self._whole
        drawn: Tensor = function(whole, *args, **kwargs)
        return drawn[self._rows.start * each : self._rows.stop * each]


def may_draw(function: Any) -> bool:
    """Whether a function may draw: PyTorch says so of its operators, but not of what calls them."""
    name = getattr(function, "__name__", "")
    if name.startswith("__"):  # arithmetic, indexing and attributes
        return False
    operator = getattr(torch.ops.aten, name, None)
    if isfunction(function) or not isinstance(operator, OpOverloadPacket):
        return True
    return any(SEEDED in getattr(operator, overload).tags for overload in operator.overloads())


def states() -> list[Tensor]:
    """Return the states of the generators that layers draw from."""
    cuda = [torch.cuda.get_rng_state()] if torch.cuda.is_initialized() else []
    return [torch.get_rng_state(), *cuda]


def _for(tensor: Tensor, rows: str) -> str:
    return f"draws for a tensor of {tuple(tensor.shape)}, whose rows {rows}"


def _cannot(function: Any, what: str) -> str:
    name = getattr(function, "__name__", function)
    return f"{name} {what}, which --distributed cannot divide among processes; train it without"
