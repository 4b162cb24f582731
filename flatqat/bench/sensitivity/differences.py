"""By how much networks differ on ID images, under shift and in each family, image by image.

The interval is that of the images alone, since there is one training: Delta and its standard error are the
mean over images of what each contributes, by `contributions` and `Components` of `flatqat.metrics`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatqat.bench.sensitivity.images import ImageSet
from flatqat.bench.sensitivity.readings import Measured
from flatqat.metrics.components import Components
from flatqat.metrics.contributions import contributions, equal_weights
from flatqat.metrics.estimate import Estimate
from flatqat.metrics.metric import METRICS
from flatqat.metrics.rank import FEWEST_ROWS, RankCorrelation, rank_correlation

ID, OOD = "id", "OOD"
DIGITS = 9
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LayerChanges:
    """The differences of networks from a base, in points.

    Attributes:
        networks: Their names, without the base.
        deltas: For `id`, `OOD` (the mean over shifts) and each family the difference of each network.
        halves: For `id` and `OOD` the differences on either half of the images, (2, networks).
        base: For each of these the base itself, in percent.
    """

    networks: tuple[str, ...]
    deltas: Mapping[str, list[Estimate]]
    halves: Mapping[str, Floats]
    base: Mapping[str, Estimate]


def table(
    metric: str,
    sets: Sequence[ImageSet],
    measured: Mapping[str, Measured],
    *,
    base: str = "base",
    sign: int = 1,
) -> LayerChanges:
    """Return the differences from the network `base`, or with the sign -1 those of `base` from each network.

    `measured` has what each set gave; all have the same networks.
    """
    networks = next(iter(measured.values())).networks
    order = [networks.index(base), *(i for i, name in enumerate(networks) if name != base)]
    values = METRICS[metric].values
    runs = [[{s.name: measured[s.name].outcome[place] for s in sets}] for place in order]
    image_sets = {s.name: s.image_set for s in sets}
    deltas, halves, bases = {}, {}, {}
    for what, names in columns(sets).items():
        pools = contributions(runs, image_sets, equal_weights(names), values)
        parts = Components.of(pools)
        bases[what] = parts.mean(0)
        deltas[what] = [
            parts.difference(*((row, 0) if sign > 0 else (0, row))) for row in range(1, len(order))
        ]
        if what in (ID, OOD):
            halves[what] = np.array([_means(pools, half, sign) for half in (0, 1)])
    return LayerChanges(
        networks=tuple(networks[place] for place in order[1:]), deltas=deltas, halves=halves, base=bases
    )


def columns(sets: Sequence[ImageSet]) -> dict[str, list[str]]:
    """Return the names of the sets of each column: `id`, `OOD`, and the families."""
    shifts = [s for s in sets if s.name != ID]
    found = {ID: [ID], OOD: [s.name for s in shifts]}
    for s in shifts:
        found.setdefault(s.family, []).append(s.name)
    return {what: names for what, names in found.items() if names}


def _means(pools: Sequence[NDArray[Any]], half: int, sign: int) -> Floats:
    means: Floats = np.sum([pool[:, 0, half::2].mean(axis=1) for pool in pools], axis=0)
    changes: Floats = sign * (means[1:] - means[0])
    return changes


@dataclass(frozen=True, slots=True, kw_only=True)
class RankAgreement:
    """Whether the layers that cost ID accuracy are those that cost OOD accuracy.

    Attributes:
        same: The rank correlation over layers of the two differences, on the same images.
        apart: The mean of those of ID on one half of the images with OOD on the other. Their errors are
            independent, so that noise cannot raise this correlation; it can only lower it.
        reliability: The correlation over layers of OOD on one half with OOD on the other.
    """

    same: RankCorrelation
    apart: float
    reliability: float


def agreement(found: LayerChanges) -> RankAgreement | None:
    """Return the agreement over layers, or None with fewer than three of them or if all cost the same."""
    if len(found.networks) < FEWEST_ROWS:
        return None
    rho = rank_correlation(*(_column([one.value for one in found.deltas[what]]) for what in (ID, OOD)))
    if rho is None:
        return None
    (id_a, id_b), (ood_a, ood_b) = found.halves[ID], found.halves[OOD]
    return RankAgreement(
        same=rho, apart=(_rho(id_a, ood_b) + _rho(id_b, ood_a)) / 2, reliability=_rho(ood_a, ood_b)
    )


def interval(rho: RankCorrelation) -> tuple[float, float]:
    """Return the 95% interval of a correlation: its standard error is a jackknife over layers.

    It is made on Fisher's scale, z = atanh(rho), so that it stays within -1 and 1, with t of layers - 2. It
    is all of that where too few layers differ for a standard error.
    """
    from scipy.special import stdtrit

    if not np.isfinite(rho.stderr):
        return -1.0, 1.0
    within = min(max(rho.rho, -1 + 1e-9), 1 - 1e-9)
    reach = float(stdtrit(rho.rows - 2, 0.975)) * rho.stderr / (1 - within**2)
    return float(np.tanh(np.arctanh(within) - reach)), float(np.tanh(np.arctanh(within) + reach))


def _rho(x: Floats, y: Floats) -> float:
    found = rank_correlation(_column(x), _column(y), draws=1)
    return found.rho if found else 0.0


def _column(values: Sequence[float] | Floats) -> Floats:
    """Return a table of one column for ranks; equal values that were added up in another order are equal."""
    return np.asarray(values, np.float64).round(DIGITS)[:, None]
