"""The run of a file over all sets, summed up by set, by family and over all, with paired intervals."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from flatqat.bench.deploy.agreement import Agreement
from flatqat.metrics.components import Components
from flatqat.metrics.contributions import contributions, equal_weights
from flatqat.metrics.metric import Metric, Outcome
from flatqat.metrics.missing import mean_if_complete
from flatqat.spec import CodeFlips, Compared, FileRun, ShiftInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The metric of one network on a set, in percent, and the outcome of each image, see `Metric`."""

    value: float | None
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class SetOutcome:
    """What a set showed of the cell and of the file."""

    cell: Side
    file: Side
    agreement: Agreement


def summed_up(
    seen: Mapping[str, SetOutcome],
    shifts: Mapping[str, ShiftInfo],
    metric: Metric,
    codes: CodeFlips | None = None,
) -> FileRun:
    """Return the run by set, by family, and over all sets, where the metric is the mean over shifts."""
    families: dict[str, list[str]] = {}
    for name in seen:
        families.setdefault("id" if name == "id" else shifts[name].family, []).append(name)
    in_mean = [name for name in seen if name != "id" and shifts[name].in_mean]
    image_sets = {name: shifts[name].image_set for name in seen}
    return FileRun(
        all=compared(seen, list(seen), in_mean, image_sets, metric),
        families={
            family: compared(seen, names, names, image_sets, metric) for family, names in families.items()
        },
        shifts={name: compared(seen, [name], [name], image_sets, metric) for name in seen},
        codes=codes,
    )


def compared(
    seen: Mapping[str, SetOutcome],
    names: Sequence[str],
    averaged: Sequence[str],
    image_sets: Mapping[str, str],
    metric: Metric,
) -> Compared:
    """Return the predictions of the sets called `names`, and the mean of the metric over `averaged` ones."""
    joint = reduce(Agreement.with_others, (seen[name].agreement for name in names))
    finite = math.isfinite(joint.largest)
    low, high = _interval(seen, averaged, image_sets, metric)
    return Compared(
        images=sum(len(seen[name].cell.outcome) for name in names),
        predictions=joint.predictions,
        agreement=100 * joint.equal / joint.predictions if joint.predictions else 100.0,
        largest=joint.largest if finite else None,
        relative=joint.largest / joint.range if finite and joint.range else None,
        cell=mean_if_complete(seen[name].cell.value for name in averaged) if averaged else None,
        file=mean_if_complete(seen[name].file.value for name in averaged) if averaged else None,
        low=low,
        high=high,
    )


def _interval(
    seen: Mapping[str, SetOutcome], names: Sequence[str], image_sets: Mapping[str, str], metric: Metric
) -> tuple[float | None, float | None]:
    """Return the 95% interval of the file minus the cell in the mean over sets, over images alone.

    Images that several sets show are one image, as in all comparisons of methods.
    """
    if not names:
        return None, None
    runs: list[list[dict[str, NDArray[np.generic]]]] = [
        [{name: seen[name].cell.outcome for name in names}],
        [{name: seen[name].file.outcome for name in names}],
    ]
    pools = contributions(runs, image_sets, equal_weights(names), metric.values)
    if any(pool.shape[2] < 2 or not np.isfinite(pool).all() for pool in pools):
        return None, None
    difference = Components.of(pools).difference(1, 0)
    return difference.low, difference.high
