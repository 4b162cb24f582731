"""How well each of many ranges rounds what was observed: the search behind `ranges=mse`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from flatqat.quant.kernels import dispatch
from flatqat.quant.kernels.rule import Grid
from flatqat.quant.observe import Observer, by_scale, channel_axis

if TYPE_CHECKING:
    from flatqat.quant.base import Quantizer

Ranges = Sequence[tuple[Tensor, Tensor]]
FEW = (
    2**14
)  # values: calls of torch take longer than what they compute; torch adds up many on several threads


def rounding_errors(quantizer: "Quantizer", observed: Observer, ranges: Ranges) -> Tensor:
    """Return the mean squared rounding error in each range (low, high), as (ranges, *scale_shape).

    Infinity stands for an error that is not a number. The quantizer is left with the last of the ranges.
    """
    values, errors = observed.values, None
    if quantizer.only_rounds and _are_few(values, observed.scale_shape):
        errors = _all_at_once(quantizer, values, ranges)
    if errors is None:
        errors = torch.stack([_error(quantizer, observed, values, *ends) for ends in ranges])
    return torch.where(errors.isnan(), torch.inf, errors)


def _error(quantizer: "Quantizer", observed: Observer, values: Tensor, low: Tensor, high: Tensor) -> Tensor:
    quantizer.set_range(low, high)
    return observed.reduce((quantizer.quantize(values) - values).square())


def _are_few(values: Tensor, scale_shape: tuple[int, ...]) -> bool:
    """Return whether there are few values, and those of one scale lie together in the CPU's memory."""
    plain = values.device.type == "cpu" and values.dtype == torch.float32 and values.is_contiguous()
    return plain and 0 < values.numel() <= FEW and not channel_axis(scale_shape)


def _all_at_once(quantizer: "Quantizer", values: Tensor, ranges: Ranges) -> Tensor | None:
    """Return the same errors, to the bit, from one rounding of as many copies of the values as ranges.

    None if the codes are others in one range than in another.
    """
    scales, offsets, rules = [], [], set()
    for low, high in ranges:
        quantizer.set_range(low, high)
        grid = quantizer.grid(values)
        scales.append(grid.scale.detach().reshape(-1, 1).clone())
        offsets += [] if grid.offset is None else [grid.offset.detach().reshape(-1, 1).clone()]
        rules.add(grid.rule)
    if len(rules) > 1:
        return None
    shape = tuple(quantizer.scale.shape)
    copies = by_scale(values, shape).repeat(len(ranges), 1)
    offset = torch.cat(offsets) if offsets else None
    levels = dispatch.levels(Grid(copies, torch.cat(scales), offset, rules.pop()))
    return (levels - copies).square_().mean(1).view(len(ranges), *shape)
