"""Scores of a network on groups of its classes, each of which counts as one class."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from flatqat.metrics.task import Meter

Groups = tuple[tuple[int, ...], ...]


class Grouping:
    """Turns the logits of a network into those of groups of its classes.

    The logit of a group G is the logarithm of its mean probability, but for a constant that all groups share
    and no probability depends on:

        log (1 / |G| · Σ_{k in G} exp logit_k)

    So the softmax over groups is the mean probability of each, divided by their sum. Classes of no group are
    left out, as masked ones are. Groups are disjoint and not empty.
    """

    def __init__(self, groups: Groups) -> None:
        self._sizes = [len(group) for group in groups]
        self._members = torch.tensor([label for group in groups for label in group])
        self._log_sizes = torch.tensor(self._sizes, dtype=torch.float64).log()

    def __call__(self, logits: Tensor) -> Tensor:
        """Return (B, groups, ...) for logits (B, classes, ...), in float32 or wider."""
        self._members = self._members.to(logits.device)
        self._log_sizes = self._log_sizes.to(logits.device)
        wide = logits.detach().to(torch.promote_types(logits.dtype, torch.float32))
        parts = wide.index_select(1, self._members).split(self._sizes, 1)
        sums = torch.stack([part.logsumexp(1) for part in parts], 1)
        return sums - self._log_sizes.to(sums.dtype).view(1, -1, *[1] * (sums.ndim - 2))


class GroupedMeter:
    """Scores a network of `classes` classes by a meter for groups of them; labels are places of groups."""

    def __init__(self, meter: "Meter", classes: int, groups: Groups) -> None:
        self._meter, self._classes, self._grouping = meter, classes, Grouping(groups)

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """Add a batch of logits (B, classes, ...) and its labels. Raises ValueError on another shape."""
        if logits.ndim < 2 or logits.shape[1] != self._classes:
            raise ValueError(f"expected logits of {self._classes} classes, got {tuple(logits.shape)}")
        self._meter.add(self._grouping(logits), labels)

    def result(self) -> Any:
        """Return what the meter of the groups returns."""
        return self._meter.result()
