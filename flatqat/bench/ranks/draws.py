"""Random numbers of layers for a part of a batch: those that one process would draw for these images.

Layers draw from the global generator, which all processes seed alike. Each draws for the whole batch, and
takes the rows of its own images.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from flatqat.errors import TrainingFailed

DROPOUTS = (F.dropout, F.dropout1d, F.dropout2d, F.dropout3d)
FILLING = (torch.Tensor.bernoulli_, torch.Tensor.uniform_, torch.Tensor.normal_)
DRAWING = (
    *(torch.rand, torch.randn, torch.randint, torch.randperm, torch.rand_like, torch.randn_like),
    *(torch.bernoulli, torch.normal, torch.multinomial, F.alpha_dropout, F.feature_alpha_dropout, F.rrelu),
    *(F.gumbel_softmax, F.scaled_dot_product_attention, F.multi_head_attention_forward),
)
"""What may draw for more than the rows of images."""


class Draws:
    """What replaces functions that draw random numbers, for the images `rows` of a batch of `whole`."""

    def __init__(self, rows: slice, whole: int) -> None:
        self._rows, self._whole, self._images = rows, whole, rows.stop - rows.start

    def replaced(self) -> dict[Any, Callable[..., Any]]:
        """Return what stands for each of the functions."""
        kinds = ((DROPOUTS, self._dropout), (FILLING, self._filled), (DRAWING, self._undivided))
        return {function: replace(function) for functions, replace in kinds for function in functions}

    def _dropout(self, function: Any) -> Callable[..., Tensor]:
        def dropped(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
            if not training or p == 0:
                return input
            rows, shape = self._rows_and_shape(input, function)
            kept = function(input.new_ones(shape), p)[rows]
            return input.mul_(kept) if inplace else input * kept

        return dropped

    def _filled(self, function: Any) -> Callable[..., Tensor]:
        """Fill the rows of a tensor; a single one is what all images share, as where a layer is left out."""

        def filled(tensor: Tensor, *args: Any, generator: Any = None, **kwargs: Any) -> Tensor:
            if generator is not None or (len(tensor) == 1 and self._images > 1):
                return function(tensor, *args, generator=generator, **kwargs)  # type: ignore[no-any-return]
            rows, shape = self._rows_and_shape(tensor, function)
            with torch.no_grad():
                return tensor.copy_(function(tensor.new_empty(shape), *args, **kwargs)[rows])

        return filled

    def _undivided(self, function: Any) -> Callable[..., Any]:
        """Let a function work as long as it draws nothing from the global generator."""

        def called(*args: Any, **kwargs: Any) -> Any:
            before = _states()
            result = function(*args, **kwargs)
            if not all(map(torch.equal, before, _states())):
                raise TrainingFailed(_cannot(function, "draws random numbers"))
            return result

        return called

    def _rows_and_shape(self, tensor: Tensor, function: Any) -> tuple[slice, tuple[int, ...]]:
        """Return the rows of a tensor within that of the whole batch, and the shape of the latter."""
        each, rest = divmod(len(tensor), self._images) if tensor.ndim else (0, 1)
        if rest:
            what = f"draws for a tensor of {tuple(tensor.shape)}, whose rows are not those of images"
            raise TrainingFailed(_cannot(function, what))
        rows = slice(self._rows.start * each, self._rows.stop * each)
        return rows, (self._whole * each, *tensor.shape[1:])


def _states() -> list[Tensor]:
    """Return the states of the generators that layers draw from."""
    cuda = [torch.cuda.get_rng_state()] if torch.cuda.is_initialized() else []
    return [torch.get_rng_state(), *cuda]


def _cannot(function: Any, what: str) -> str:
    name = getattr(function, "__name__", function)
    return f"{name} {what}, which --distributed cannot divide among processes; train it without"
