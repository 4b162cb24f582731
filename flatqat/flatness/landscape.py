"""Loss landscape: the loss on a plane through the weights, along two filter-normalized directions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import torch

from flatqat.flatness.derivatives import loss_values
from flatqat.flatness.filters import filter_direction, with_filters
from flatqat.flatness.params import LossFn, Params, Progress, moved, no_progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Landscape:
    """The values losses[i][j] = L(w + coordinates[i] d + coordinates[j] e).

    `coordinates` are in units of each filter's norm, and the one in the middle is 0.
    """

    coordinates: tuple[float, ...]
    losses: tuple[tuple[float, ...], ...]

    @property
    def center(self) -> float:
        """The loss at the weights, L(w)."""
        middle = len(self.coordinates) // 2
        return self.losses[middle][middle]

    @property
    def lowest(self) -> tuple[float, float, float]:
        """The smallest loss on the grid with its two coordinates: (loss, a along d, b along e)."""
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
    progress: Progress = no_progress,
) -> Landscape:
    """Return the loss on a grid of points x points over [-span, span]^2.

    d and e are independent Gaussian directions, scaled so that every filter has the norm of the filter that
    it moves; tensors with at most one axis (biases, BatchNorm) stay fixed. A seed gives networks of the same
    shapes the same Gaussians, with norms of their own, so their landscapes can be compared. Two of many
    random directions show mean curvature, not the largest. `points` is odd, so that w is on the grid. Cost:
    points^2 evaluations. Raises FloatingPointError if a loss is not finite, and ValueError if `points` or
    `span` is out of range or there are no filters.

    Source: Li et al. 2018 (arXiv 1712.09913), section 4.
    """
    if points < 3 or points % 2 == 0 or not 0 < span < math.inf:
        raise ValueError(f"expected an odd number of points from 3 and a span above 0, got {points}, {span}")
    filters = with_filters(params)
    generator = torch.Generator().manual_seed(seed)
    d, e = (filter_direction(filters, generator) for _ in range(2))
    half = points // 2
    coordinates = tuple(span * step / half for step in range(-half, half + 1))
    values: list[float] = []
    for a in coordinates:
        row_start = moved(params, d, a)
        for b in coordinates:
            values.append(fmean(loss_values(losses, moved(row_start, e, b))))
            progress(len(values), points**2)
    rows = tuple(tuple(values[first : first + points]) for first in range(0, points**2, points))
    return Landscape(coordinates=coordinates, losses=rows)
