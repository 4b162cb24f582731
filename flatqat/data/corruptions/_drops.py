"""The rims of drops: edges, the distance to them, and an emboss, each equal to OpenCV's function."""

import torch
from torch import Tensor
from torch.nn import functional as F

_TAN_22 = 0.4142135623730950488  # tan of 22.5 degrees, between the sectors of Canny
_FAR = 20.0
# Moves and lengths of OpenCV's 5 x 5 distance mask (Borgefors 1986): straight, diagonal, knight's.
_MOVES = (
    *((dy, dx, 1.0) for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0))),
    *((dy, dx, 1.4) for dy in (-1, 1) for dx in (-1, 1)),
    *((dy, dx, 2.1969) for dy in (-1, 1) for dx in (-2, 2)),
    *((dy, dx, 2.1969) for dy in (-2, 2) for dx in (-1, 1)),
)
_EMBOSS = ((-2, -1, 0), (-1, 1, 1), (0, 1, 2))


def rims(level: Tensor) -> Tensor:
    """Return the brightness of drops (B, 1, H, W), whole numbers 0 .. 255, as is their thickness `level`."""
    distance = _mean(_distance(_edges(level))).floor_()
    embossed = _shifted_sum(_equalized(distance), _EMBOSS).clamp_(0, 255)
    return (_mean(embossed) + 0.5).floor_()


def _edges(level: Tensor) -> Tensor:
    """Return Canny edges with thresholds 50 and 150 on |gx| + |gy|, Sobel 3 x 3; bool (B, 1, H, W)."""
    p = F.pad(level, (1, 1, 1, 1), mode="replicate")
    rows = p[..., :-2, :] + 2 * p[..., 1:-1, :] + p[..., 2:, :]
    columns = p[..., :, :-2] + 2 * p[..., :, 1:-1] + p[..., :, 2:]
    gx, gy = rows[..., 2:] - rows[..., :-2], columns[..., 2:, :] - columns[..., :-2, :]
    strength = gx.abs() + gy.abs()
    q = F.pad(strength, (1, 1, 1, 1))

    def at(dy: int, dx: int) -> Tensor:
        return q[..., 1 + dy : q.shape[-2] - 1 + dy, 1 + dx : q.shape[-1] - 1 + dx]

    flat, steep = gy.abs() < gx.abs() * _TAN_22, gy.abs() > gx.abs() * (_TAN_22 + 2)
    rising = (gx < 0) ^ (gy < 0)
    horizontal = (strength > at(0, -1)) & (strength >= at(0, 1))
    vertical = (strength > at(-1, 0)) & (strength >= at(1, 0))
    down = (strength > at(-1, -1)) & (strength > at(1, 1))
    up = (strength > at(-1, 1)) & (strength > at(1, -1))
    slanted = ~(flat | steep)
    peak = flat & horizontal | steep & vertical | slanted & (rising & up | ~rising & down)
    weak, edges = peak & (strength > 50), peak & (strength > 150)
    while True:
        grown = weak & _widened(edges)
        if bool((grown == edges).all()):
            return edges
        edges = grown


def _widened(x: Tensor) -> Tensor:
    """Return True where a pixel of bool (B, 1, H, W) or one of its eight neighbors is True."""
    p = F.pad(x, (1, 1, 1, 1))
    rows = p[..., :-2, :] | p[..., 1:-1, :] | p[..., 2:, :]
    return rows[..., :-2] | rows[..., 1:-1] | rows[..., 2:]


def _distance(edges: Tensor) -> Tensor:
    """Return the length of the shortest path to an edge in `_MOVES`, at most 20; float32 (B, 1, H, W).

    The order of moves on a path does not matter, so each kind of move gets one turn, in which 1, 2, 4, ... of
    them are made at a time.
    """
    height, width = edges.shape[2:]
    distance = (~edges).float().mul_(_FAR)
    for dy, dx, length in _MOVES:
        times = 1
        while times * length < _FAR and abs(times * dy) < height and abs(times * dx) < width:
            to, origin = _shifted(distance, times * dy, times * dx)
            torch.minimum(to, origin + times * length, out=to)
            times *= 2
    return distance


def _shifted(x: Tensor, dy: int, dx: int) -> tuple[Tensor, Tensor]:
    """Return two views of one shape: pixels with a neighbor at (dy, dx) in the image, and these neighbors."""
    height, width = x.shape[2:]
    to = x[..., max(0, -dy) : height - max(0, dy), max(0, -dx) : width - max(0, dx)]
    origin = x[..., max(0, dy) : height - max(0, -dy), max(0, dx) : width - max(0, -dx)]
    return to, origin


def _equalized(level: Tensor) -> Tensor:
    """Equalize the histogram of whole numbers 0 .. 20 to 0 .. 255, image by image."""
    values = level.flatten(1).long()
    counts = torch.zeros(len(level), int(_FAR) + 1, device=level.device)
    counts.scatter_add_(1, values, torch.ones_like(values, dtype=counts.dtype))
    total = counts.cumsum(1)
    first = counts.gather(1, (counts > 0).int().argmax(1, keepdim=True))
    lookup = (total - first) * (255 / (values.shape[1] - first).clamp(min=1))
    constant = first == values.shape[1]
    return torch.where(constant, values.float(), lookup.round().gather(1, values)).view_as(level)


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
