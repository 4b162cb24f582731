"""How well each of many ranges rounds what was observed: the search behind `ranges=mse`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from flatqat.quant.kernels import dispatch
from flatqat.quant.kernels.layout import channel_axis
from flatqat.quant.kernels.rule import Grid
from flatqat.quant.observe import Observer, by_scale

if TYPE_CHECKING:
    from flatqat.quant.base import Quantizer

Ranges = Sequence[tuple[Tensor, Tensor]]
MSE_FRACTIONS = [percent / 100 for percent in range(20, 101)] + [0.2 * 0.9**i for i in range(1, 51)]
FEW = 2**14
"""Up to so many values a call of torch takes longer than its arithmetic, and is summed on one thread."""


def best_fraction(quantizer: "Quantizer", observed: Observer) -> Tensor:
    """Return the fraction of the whole range with the smallest error, for each scale.

    Of equal ones it is the first, and 1 where no error is finite.
    """
    low, high = observed.low, observed.high
    least, best = rounding_errors(quantizer, observed, [(low * f, high * f) for f in MSE_FRACTIONS]).min(0)
    fractions = torch.tensor(MSE_FRACTIONS, dtype=low.dtype, device=low.device)
    return torch.where(least.isfinite(), fractions[best], 1.0)


def rounding_errors(quantizer: "Quantizer", observed: Observer, ranges: Ranges) -> Tensor:
    """Return the mean squared rounding error in each range (low, high), as (ranges, *scale_shape).

    Infinity stands for an error that is not a number. The quantizer is left with the last of the ranges.
    """
    values, errors = observed.values, None
    if quantizer.only_rounds and _are_few(values, observed.scale_shape):
        errors = _all_at_once(quantizer, values, observed.scale_shape, ranges)
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


def _all_at_once(
    quantizer: "Quantizer", values: Tensor, scale_shape: tuple[int, ...], ranges: Ranges
) -> Tensor | None:
    """Return the same errors, to the bit, from one rounding of as many copies of the values as ranges.

    None if ranges differ in more than the scale and the offset of each channel.
    """
    grids = []
    for low, high in ranges:
        quantizer.set_range(low, high)
        grids.append(_kept(quantizer._grid(values)))
    first = grids[0]
    if any(grid.rule != first.rule for grid in grids):
        return None
    columns = []
    for parts in ([grid.scale for grid in grids], [grid.offset for grid in grids]):
        given = [part for part in parts if part is not None]
        alike = all(part.shape == scale_shape and part.dtype == torch.float32 for part in given)
        if not alike or len(given) not in (0, len(grids)):
            return None
        columns.append(torch.stack(given).view(-1, 1) if given else None)
    scale, offset = columns
    assert scale is not None
    copies = by_scale(values, scale_shape).repeat(len(ranges), 1)
    levels = dispatch.levels(Grid(copies, scale, offset, first.rule))
    return (levels - copies).square_().mean(1).view(len(ranges), *scale_shape)


def _kept(grid: Grid) -> Grid:
    """Return the grid as it is now, without the factor of gradients, which is not needed."""
    offset = None if grid.offset is None else grid.offset.detach().clone()
    return grid._replace(
        scale=grid.scale.detach().clone(), offset=offset, rule=grid.rule._replace(factor=1.0)
    )
