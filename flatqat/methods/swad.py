"""SWAD: the dense average of the weights over the valley of the validation loss; training is plain QAT.

The loss E_i on held-out in-distribution images is looked at every `every` steps. The valley

    starts at the first s with E_s = min(E_s .. E_{s+Ns−1}),   threshold = (1 + r) · mean(E_s .. E_{s+Ns−1})
    ends   at i − Ne for the first later i with min(E_{i−Ne+1} .. E_i) > threshold, or with the training

and the weights after every single step of it are averaged, from the step behind the look before s on. Without
a valley the last weights are deployed. Averaged are weights (latent), biases, BatchNorm's γ and β and step
sizes; BatchNorm statistics are estimated again for the average. By default `every` is a fiftieth of the
steps, as in the paper (100 of 5,000).

Source: Cha et al. 2021 (NeurIPS, arXiv 2102.08604), with its Ns = 3 (`n_converge`), Ne = 6 (`n_tolerance`)
and r = 0.3 (`tolerance_ratio`). The authors' code, unlike the paper, also takes in looks before s while they
are under the threshold, and without a valley deploys the average since the last look.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Annotated, Any

from torch import Tensor

from flatqat.methods.average import Average
from flatqat.methods.base import Batch, Calibration, Method
from flatqat.methods.settings import AtLeast

LOOKS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(Calibration):
    n_converge: Annotated[int, AtLeast(1)] = 3
    n_tolerance: Annotated[int, AtLeast(1)] = 6
    tolerance_ratio: Annotated[float, AtLeast(0)] = 0.3
    every: Annotated[int | None, AtLeast(1)] = None


@dataclass(slots=True, kw_only=True)
class Valley:
    """Which looks at the validation loss, counted from 0, lie in the valley: `start` to `end`, inclusive.

    `start` is None before it is known, `end` while the valley goes on.
    """

    n_converge: int
    n_tolerance: int
    tolerance_ratio: float
    losses: list[float] = field(default_factory=list)
    start: int | None = None
    end: int | None = None
    threshold: float = 0.0

    def add(self, loss: float) -> None:
        self.losses.append(loss)
        if self.start is None:
            latest = self.losses[-self.n_converge :]
            if len(latest) == self.n_converge and latest[0] == min(latest):
                self.start = len(self.losses) - self.n_converge
                self.threshold = (1 + self.tolerance_ratio) * fmean(latest)
        elif self.end is None and min(self.losses[-self.n_tolerance :]) > self.threshold:
            self.end = len(self.losses) - 1 - self.n_tolerance


class Segment:
    """The plain mean of the weights after each of so many steps."""

    def __init__(self, average: Average) -> None:
        self.average, self.steps = average, 0

    def add_step(self) -> None:
        self.steps += 1
        self.average.move_(1 / self.steps)

    def add_segment(self, other: "Segment") -> None:
        self.steps += other.steps
        self.average.join_(other.average, other.steps / self.steps)


class SWAD(Method):
    Config = Config

    def begin(self, batches: Sequence[Batch]) -> None:
        super().begin(batches)
        if self.setup.val_loss is None:
            raise ValueError("swad: expected a Setup with val_loss, got none")
        self.every = self.config.every or max(1, self.total_steps // LOOKS)
        self.valley = Valley(
            n_converge=self.config.n_converge,
            n_tolerance=self.config.n_tolerance,
            tolerance_ratio=self.config.tolerance_ratio,
        )
        self.inside, self.since_look = self._nothing(), self._nothing()
        self.undecided: deque[Segment] = deque()

    def step(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        logs = super().step(x, y)
        self.since_look.add_step()
        if self.steps_done % self.every == 0 or self.steps_done == self.total_steps:
            self._look()
        return logs

    def _look(self) -> None:
        """A segment is in the valley once nothing that the next looks show can put it outside."""
        assert self.setup.val_loss is not None
        self.valley.add(self.setup.val_loss())
        self.undecided.append(self.since_look)
        self.since_look = self._nothing()
        found = self.valley.start is not None
        while len(self.undecided) > (self.config.n_tolerance if found else self.config.n_converge - 1):
            decided = self.undecided.popleft()
            if found:
                self.inside.add_segment(decided)
        if self.valley.end is not None:
            self.undecided.clear()

    def end(self, batches: Sequence[Batch]) -> None:
        if self.valley.start is not None:
            whole = self._nothing()
            for segment in (self.inside, *self.undecided):
                if segment.steps:
                    whole.add_segment(segment)
            whole.average.deploy_()
        super().end(batches)

    def log(self) -> dict[str, Any]:
        """The first and the last step that were averaged, and the validation loss every so many steps."""
        valley, averaged = self.valley, None
        if valley.start is not None:
            last = len(valley.losses) - 1 if valley.end is None else valley.end
            averaged = [valley.start * self.every + 1, min((last + 1) * self.every, self.total_steps)]
        losses = [round(loss, 6) for loss in valley.losses]
        return {"averaged": averaged, "every": self.every, "val_loss": losses}

    def _nothing(self) -> Segment:
        return Segment(Average(self.model))


METHOD = SWAD
