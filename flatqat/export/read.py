"""Read the grids of a quantized network, and make sure that they say exactly what its quantizers do.

Quantizers are asked, not recognized: what `codes`, `dequantize` and `step_size` say is compared with what
`quantize` returns, to the bit. So a quantizer of any kind is either exported exactly or refused.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from flatqat.errors import UsageError
from flatqat.export.grids import ExportedGrid
from flatqat.export.thresholds import LARGEST, number, order, thresholds
from flatqat.quant.base import Quantizer

PROBES = 4096
WIDEST = 2**15
"""Codes lie between -WIDEST and WIDEST; those of 8 bits and less always do, but for a grid far from zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizedWeight:
    """A weight as integers: its grid, and the int32 code of each element, of the weight's shape."""

    grid: ExportedGrid
    codes: Tensor


@torch.no_grad()
def weight_codes(quantizer: Quantizer, weight: Tensor, layer: str) -> QuantizedWeight:
    """Return a weight on its grid. Raises UsageError if its quantized values are not levels of its codes."""
    _check_bounds(quantizer, layer)
    codes, values = quantizer.codes(weight), quantizer.quantize(weight)
    axis = None if quantizer.scale.numel() == 1 else quantizer.channel_axis
    if int(codes.min()) >= quantizer.qmin and int(codes.max()) <= quantizer.qmax:
        for grid in (_even(quantizer, axis), _table(quantizer, axis)):
            if grid is not None and torch.equal(grid.dequantize(codes), values):
                return QuantizedWeight(grid=grid, codes=codes)
    raise _refused(quantizer, layer, "`quantize` to return the level, by `dequantize`, of each weight's code")


@torch.no_grad()
def input_grid(quantizer: Quantizer, layer: str) -> ExportedGrid:
    """Return the grid of a layer's input.

    Evenly spaced levels with rounding between them are recognized by what the quantizer returns on both sides
    of every change of its code.

    Raises UsageError if a value's level depends on other values, or if a larger value may have a smaller
    code.
    """
    _check_bounds(quantizer, layer)
    if quantizer.scale.numel() != 1:
        raise _refused(quantizer, layer, "one grid for all of an input")
    changes = thresholds(quantizer.codes, quantizer.qmin, quantizer.qmax)
    probes = _probes(changes)
    for grid in (_even(quantizer, None), replace(_table(quantizer, None), thresholds=changes)):
        if grid is not None and _agree(quantizer, grid, probes):
            return grid
    needed = "a level for each value alone, that of its code, and no smaller code for a larger value"
    raise _refused(quantizer, layer, needed)


def _check_bounds(quantizer: Quantizer, layer: str) -> None:
    if not -WIDEST < quantizer.qmin < quantizer.qmax < WIDEST:
        raise _refused(quantizer, layer, f"codes `qmin` to `qmax` between {-WIDEST} and {WIDEST}")


def _even(quantizer: Quantizer, axis: int | None) -> ExportedGrid | None:
    """Return the grid that a quantizer has if its levels are evenly spaced; None if it can have none."""
    shape = () if axis is None else (quantizer.scale.numel(),)
    parts = [quantizer.step_size, quantizer.grid_offset]
    if any(part is not None and part.numel() != quantizer.scale.numel() for part in parts):
        return None
    scale, offset = (None if part is None else part.detach().reshape(shape).clone() for part in parts)
    return ExportedGrid(
        bits=quantizer.bits, low=quantizer.qmin, high=quantizer.qmax, axis=axis, scale=scale, offset=offset
    )


def _table(quantizer: Quantizer, axis: int | None) -> ExportedGrid:
    """Return the levels of all codes, one table per channel if the grids differ."""
    codes = torch.arange(quantizer.qmin, quantizer.qmax + 1, dtype=torch.int32)
    if axis is None:
        levels = quantizer.dequantize(codes).flatten()
    else:  # codes along another axis than the channels
        shape = list(quantizer.scale.shape)
        shape[1 - axis] = len(codes)
        view = [1] * len(shape)
        view[1 - axis] = -1
        levels = quantizer.dequantize(codes.view(view).expand(shape)).transpose(0, axis)
        levels = levels.reshape(quantizer.scale.numel(), len(codes))
    return ExportedGrid(
        bits=quantizer.bits, low=quantizer.qmin, high=quantizer.qmax, axis=axis, levels=levels.detach()
    )


def _probes(changes: Tensor) -> Tensor:
    """Return both sides of every change of the code, the extremes, and random numbers between."""
    sides = order(changes[changes.isfinite()])
    largest = torch.tensor([-LARGEST, 0.0, LARGEST])
    reach = number(sides).abs().max().item() if len(sides) else 1.0
    spread = torch.randn(PROBES, generator=torch.Generator().manual_seed(0)) * min(reach, LARGEST / 8)
    return torch.cat([number(sides - 1), number(sides), number(sides + 1), largest, spread])


def _agree(quantizer: Quantizer, grid: ExportedGrid, values: Tensor) -> bool:
    """Whether codes and levels are equal, also for a part of the values in another order and shape."""
    codes = grid.codes(values)
    levels = grid.dequantize(codes)
    some = slice(None, None, 2)
    again = quantizer.quantize(values[some].flip(0).view(-1, 1, 1, 1)).flatten().flip(0)
    return (
        torch.equal(quantizer.codes(values), codes)
        and torch.equal(quantizer.quantize(values), levels)
        and torch.equal(again, levels[some])
    )


def _refused(quantizer: Quantizer, layer: str, needed: str) -> UsageError:
    kind = type(quantizer).__name__
    return UsageError(
        f"layer {layer}: expected of the quantizer of its {quantizer.role} {needed}, got a {kind} that does "
        "otherwise; it cannot be exported"
    )
