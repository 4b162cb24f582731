"""The rims of drops: edges, the distance to them, and an emboss, each equal to OpenCV's function."""

from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

_TAN_22 = 0.4142135623730950488  # tan of 22.5 degrees, between the sectors of Canny
_FAR = 20.0
_SIGNS = (-1, 1)
# Lengths and moves of OpenCV's 5 x 5 distance mask (Borgefors 1986): straight, diagonal, knight's.
_MOVES = {
    1.0: ((0, 1), (1, 0), (0, -1), (-1, 0)),
    1.4: tuple(product(_SIGNS, _SIGNS)),
    2.1969: (*product(_SIGNS, (-2, 2)), *product((-2, 2), _SIGNS)),
}
_EMBOSS = ((-2, -1, 0), (-1, 1, 1), (0, 1, 2))


def rims(level: Tensor) -> Tensor:
    """Return the brightness of drops (B, 1, H, W), whole numbers 0 .. 255, as is their thickness `level`."""
    distance = _mean(_distance(_edges(level))).floor_()
    embossed = _shifted_sum(_equalized(distance), _EMBOSS).clamp_(0, 255)
    return (_mean(embossed) + 0.5).floor_()


def _edges(level: Tensor) -> Tensor:
    """Return Canny edges with thresholds 50 and 150 on |gx| + |gy|, Sobel 3 x 3; int8 (B, 1, H, W), edges -1.

    Numbers are int16 and masks have all bits set, as comparisons and floating point are several times slower.
    """
    strength, bar = _peaks(level)
    weak, edges = (_above(strength, bar, least).to(torch.int8) for least in (50, 150))
    while True:
        grown = _widened(edges).bitwise_and_(weak)
        if torch.equal(grown, edges):
            return edges
        edges = grown


def _peaks(level: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradient's strength, int16, and what it has to exceed to be a peak across the edge."""
    p = F.pad(level, (1, 1, 1, 1), mode="replicate").short()
    rows = (p[..., 1:-1, :] * 2).add_(p[..., :-2, :]).add_(p[..., 2:, :])
    columns = (p[..., :, 1:-1] * 2).add_(p[..., :, :-2]).add_(p[..., :, 2:])
    gx, gy = rows[..., 2:] - rows[..., :-2], columns[..., 2:, :] - columns[..., :-2, :]
    rising = gx.bitwise_xor(gy).bitwise_right_shift_(15)
    gx, gy = gx.abs_(), gy.abs_()
    strength = gx + gy
    q = F.pad(strength, (1, 1, 1, 1))

    def at(dy: int, dx: int) -> Tensor:
        return q[..., 1 + dy : q.shape[-2] - 1 + dy, 1 + dx : q.shape[-1] - 1 + dx]

    across = torch.maximum(at(0, -1), at(0, 1) - 1)  # a plateau peaks at its last pixel
    upright = torch.maximum(at(-1, 0), at(1, 0) - 1)
    down, up = torch.maximum(at(-1, -1), at(1, 1)), torch.maximum(at(-1, 1), at(1, -1))
    slope = gx.float().mul_(_TAN_22).short()
    not_flat = _above(gy, slope)
    steep = _above(gy, slope.add_(gx, alpha=2))
    return strength, _chosen(not_flat, _chosen(steep, upright, _chosen(rising, up, down)), across)


def _above(x: Tensor, bar: Tensor, least: int = 0) -> Tensor:
    """Return all bits where x exceeds the larger of both."""
    return bar.clamp(min=least).sub_(x).bitwise_right_shift_(15)


def _chosen(mask: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return x where the mask has all bits, y where it has none."""
    return x.bitwise_xor(y).bitwise_and_(mask).bitwise_xor_(y)


def _widened(x: Tensor) -> Tensor:
    """Return each pixel of int8 (B, 1, H, W) or-ed with its eight neighbors."""
    p = F.pad(x, (1, 1, 1, 1))
    rows = p[..., :-2, :] | p[..., 1:-1, :] | p[..., 2:, :]
    return rows[..., :-2] | rows[..., 1:-1] | rows[..., 2:]


def _distance(edges: Tensor) -> Tensor:
    """Return the length of the shortest path to an edge in `_MOVES`, at most 20; float32 (B, 1, H, W).

    The order of moves on a path does not matter, and none has moves of one length in several directions. So
    each length gets one turn, in which 1, 2, 4, ... moves in any one direction are made at a time.
    """
    height, width = edges.shape[2:]
    distance = (edges.float() + 1).mul_(_FAR)
    behind = torch.empty_like(distance)
    for length, moves in _MOVES.items():
        times = 1
        while times * length < _FAR:
            torch.add(distance, times * length, out=behind)
            for dy, dx in moves:
                if abs(times * dy) < height and abs(times * dx) < width:
                    to, origin = _shifted(distance, behind, times * dy, times * dx)
                    torch.minimum(to, origin, out=to)
            times *= 2
    return distance


def _shifted(x: Tensor, y: Tensor, dy: int, dx: int) -> tuple[Tensor, Tensor]:
    """Return two views of one shape: pixels of x with a neighbor at (dy, dx), and these neighbors in y."""
    height, width = x.shape[2:]
    to = x[..., max(0, -dy) : height - max(0, dy), max(0, -dx) : width - max(0, dx)]
    origin = y[..., max(0, dy) : height - max(0, -dy), max(0, dx) : width - max(0, -dx)]
    return to, origin


def _equalized(level: Tensor) -> Tensor:
    """Equalize the histogram of whole numbers 0 .. 20 to 0 .. 255, image by image."""
    count, levels = len(level), int(_FAR) + 1
    values = (
        level.flatten(1).int().add_(torch.arange(0, count * levels, levels, device=level.device)[:, None])
    )
    counts = values.flatten().bincount(minlength=count * levels).view(count, levels).float()
    total = counts.cumsum(1)
    first = counts.gather(1, (counts > 0).int().argmax(1, keepdim=True))
    pixels = values.shape[1]
    equalized = (total - first).mul_(255 / (pixels - first).clamp(min=1)).round_()
    constant = torch.arange(levels, device=level.device, dtype=torch.float32)
    table = torch.where(first == pixels, constant, equalized)
    return table.flatten().index_select(0, values.flatten()).view_as(level)


def _mean(x: Tensor) -> Tensor:
    return _shifted_sum(x, ((1, 1, 1),) * 3) / 9


def _shifted_sum(x: Tensor, kernel: tuple[tuple[int, ...], ...]) -> Tensor:
    """Correlate with a 3 x 3 kernel; borders mirror about the edge pixels."""
    height, width = x.shape[2:]
    p = F.pad(x, (1, 1, 1, 1), mode="reflect")
    total = torch.zeros_like(x)
    for dy, row in enumerate(kernel):
        for dx, weight in enumerate(row):
            if weight:
                total.add_(p[..., dy : dy + height, dx : dx + width], alpha=weight)
    return total
