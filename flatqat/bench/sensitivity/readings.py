"""What images give in each of several networks: their outcomes, and how far predictions are from others."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flatqat.metrics.grouped import Groups
from flatqat.metrics.task import task_of


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """What n images gave in each of some networks.

    Attributes:
        networks: The names of the networks: `base` and the units, or those given to `Measure.whole`.
        outcome: The outcome of each image, see `Metric`: (networks, n, ...).
        divergence: The mean Kullback-Leibler divergence, over pixels if there are logits at each, of the
            predicted distribution from that of the reference, in nats: (networks, n).
    """

    networks: tuple[str, ...]
    outcome: NDArray[Any]
    divergence: NDArray[np.float64]


class Columns:
    """Collects what images give in one network, batch by batch."""

    def __init__(
        self, task: str, classes: int, subset: tuple[int, ...] | None, groups: Groups | None
    ) -> None:
        self._task = task_of(task)
        self._meter = self._task.meter(classes, subset, groups)
        self._divergences: list[Tensor] = []

    def add(self, logits: Tensor, labels: Tensor, log_reference: Tensor) -> None:
        """Add a batch; `log_reference` has the logarithms of the probabilities in the reference."""
        self._meter.add(logits, labels)
        log_p = logits.float().log_softmax(1)
        terms = (log_reference.exp() * (log_reference - log_p)).sum(1)
        self._divergences.append(terms.flatten(1).mean(1) if terms.ndim > 1 else terms)

    def result(self) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Return outcome and divergence of all images."""
        _, outcomes = self._meter.result()
        divergence = torch.cat(self._divergences).double().cpu().numpy()
        return self._task.metric.outcome(asdict(outcomes)), divergence


def measured(columns: Mapping[str, Columns]) -> Measured:
    """Return what was collected of some networks."""
    outcomes, divergences = zip(*(column.result() for column in columns.values()), strict=True)
    return Measured(networks=tuple(columns), outcome=np.stack(outcomes), divergence=np.stack(divergences))
