"""Loss landscape: the loss on a plane through the weights, along two filter-normalised directions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import torch

from flatqat.flatness.derivatives import loss_values
from flatqat.flatness.filters import filter_direction, with_filters
from flatqat.flatness.params import LossFn, Params, Progress, moved


@dataclass(frozen=True, slots=True, kw_only=True)
class Landscape:
    """losses[i][j] = L(w + coordinates[i] d + coordinates[j] e); the coordinate in the middle is 0.

    `coordinates` are in units of each filter's norm.
    """

    coordinates: tuple[float, ...]
    losses: tuple[tuple[float, ...], ...]

    @property
    def centre(self) -> float:
        """L(w)."""
        middle = len(self.coordinates) // 2
        return self.losses[middle][middle]

    @property
    def lowest(self) -> tuple[float, float, float]:
        """The smallest loss on the grid with its two coordinates: (loss, along d, along e)."""
        return min(
            (loss, a, b)
            for a, row in zip(self.coordinates, self.losses, strict=True)
            for b, loss in zip(self.coordinates, row, strict=True)
        )


def landscape(
    losses: Sequence[LossFn],
    params: Params,
    *,
    points: int = 21,
    span: float = 1.0,
    seed: int = 0,
    progress: Progress | None = None,
) -> Landscape:
    """The loss on a grid of points x points over [-span, span]^2, one evaluation each.

    d and e are independent Gaussian directions in which every filter is as long as the filter it moves;
    tensors of one axis or none (biases, BatchNorm) stay. Networks of the same shapes get the same Gaussians,
    and since the norms are their own, surfaces can be compared between them. Two random directions of many
    see the mean curvature of the plane they span, not the sharpest. `points` is odd, so that the centre is
    on the grid. Raises FloatingPointError when a loss is not finite.

    Source: Li et al. 2018 (arXiv 1712.09913), section 4.
    """
    if points < 3 or points % 2 == 0 or not 0 < span < math.inf:
        raise ValueError(
            f"expected an odd number of points from 3 and a span above 0, got {points} and {span}"
        )
    filters = with_filters(params)
    generator = torch.Generator().manual_seed(seed)
    d, e = (filter_direction(filters, generator) for _ in range(2))
    half = points // 2
    coordinates = tuple(span * step / half for step in range(-half, half + 1))
    rows: list[tuple[float, ...]] = []
    for a in coordinates:
        row_start = moved(params, d, a)
        row = []
        for b in coordinates:
            row.append(fmean(loss_values(losses, moved(row_start, e, b))))
            if progress is not None:
                progress(len(rows) * points + len(row), points**2)
        rows.append(tuple(row))
    return Landscape(coordinates=coordinates, losses=tuple(rows))
