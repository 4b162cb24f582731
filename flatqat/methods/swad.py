"""SWAD: the weights are averaged over the valley of the validation loss; training is plain QAT.

The loss E_i on held-out in-distribution images is evaluated every `every` steps. The valley

    starts at the first s with E_s = min(E_s .. E_{s+Ns−1}),   threshold = (1 + r) · mean(E_s .. E_{s+Ns−1})
    ends   at i − Ne for the first later i with min(E_{i−Ne+1} .. E_i) > threshold, or with the training

and the weights after every single step in it are averaged, from the step after the evaluation before s on.
Without a valley the last weights are deployed. The average includes weights (latent), biases, BatchNorm's γ
and β and step sizes; BatchNorm statistics are estimated again for it. There are 50 evaluations by default.

Source: Cha et al. 2021 (NeurIPS, arXiv 2102.08604), with its Ns = 3 (`n_converge`), Ne = 6 (`n_tolerance`)
and r = 0.3 (`tolerance_ratio`). The authors' code, unlike the paper, also includes evaluations before s that
are below the threshold, and without a valley deploys the average since the last evaluation.
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

EVALUATIONS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(Calibration):
    """The settings of `swad`; `every` is in steps, by default a fiftieth of the training."""

    n_converge: Annotated[int, AtLeast(1)] = 3
    n_tolerance: Annotated[int, AtLeast(1)] = 6
    tolerance_ratio: Annotated[float, AtLeast(0)] = 0.3
    every: Annotated[int | None, AtLeast(1)] = None


@dataclass(slots=True, kw_only=True)
class Valley:
    """The evaluations of the validation loss, counted from 0, that lie in the valley.

    Attributes:
        start: The first of them; None until the valley has started.
        end: The last of them; None until the valley has ended.
    """

    n_converge: int
    n_tolerance: int
    tolerance_ratio: float
    losses: list[float] = field(default_factory=list)
    start: int | None = None
    end: int | None = None
    threshold: float = 0.0

    def add(self, loss: float) -> None:
        """Add the next evaluation."""
        self.losses.append(loss)
        if self.start is None:
            latest = self.losses[-self.n_converge :]
            if len(latest) == self.n_converge and latest[0] == min(latest):
                self.start = len(self.losses) - self.n_converge
                self.threshold = (1 + self.tolerance_ratio) * fmean(latest)
        elif self.end is None and min(self.losses[-self.n_tolerance :]) > self.threshold:
            self.end = len(self.losses) - 1 - self.n_tolerance


class Segment(Average):
    """The mean of the weights after each of `steps` steps between two evaluations."""

    steps = 0

    def add_step(self) -> None:
        """Add the model's current weights."""
        self.steps += 1
        self.move_(1 / self.steps)

    def add_segment(self, other: "Segment") -> None:
        """Add all steps of another segment."""
        self.steps += other.steps
        self.join_(other, other.steps / self.steps)


class SWAD(Method):
    """Quantization-aware training with stochastic weight averaging, densely (Cha et al. 2021)."""

    Config = Config

    def begin(self, batches: Sequence[Batch]) -> None:
        """Calibrate the grids and start the averages."""
        super().begin(batches)
        if self.setup.val_loss is None:
            raise ValueError("swad: expected a Setup with val_loss, got none")
        self.every = self.config.every or max(1, self.total_steps // EVALUATIONS)
        ns, ne, r = self.config.n_converge, self.config.n_tolerance, self.config.tolerance_ratio
        self.valley = Valley(n_converge=ns, n_tolerance=ne, tolerance_ratio=r)
        self.averaged, self.latest_segment = Segment(self.model), Segment(self.model)
        self.undecided: deque[Segment] = deque()

    def step(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Take a QAT step and add it to the current segment; evaluate when it is due."""
        logs = super().step(x, y)
        self.latest_segment.add_step()
        if self.steps_done % self.every == 0 or self.steps_done == self.total_steps:
            self._evaluate()
        return logs

    def _evaluate(self) -> None:
        """Evaluate the loss, and average the segments that no later evaluation can exclude."""
        assert self.setup.val_loss is not None
        self.valley.add(self.setup.val_loss())
        self.undecided.append(self.latest_segment)
        self.latest_segment = Segment(self.model)
        started = self.valley.start is not None
        while len(self.undecided) > (self.config.n_tolerance if started else self.config.n_converge - 1):
            decided = self.undecided.popleft()
            if started:
                self.averaged.add_segment(decided)
        if self.valley.end is not None:
            self.undecided.clear()

    def end(self, batches: Sequence[Batch]) -> None:
        """Deploy the average over the valley, if there is one."""
        if self.valley.start is not None:
            total = Segment(self.model)
            for segment in (self.averaged, *self.undecided):
                if segment.steps:
                    total.add_segment(segment)
            total.deploy_()
        super().end(batches)

    def log(self) -> dict[str, Any]:
        """Return the first and last step that were averaged, and the validation loss every `every` steps."""
        valley, averaged = self.valley, None
        if valley.start is not None:
            last = len(valley.losses) - 1 if valley.end is None else valley.end
            averaged = [valley.start * self.every + 1, min((last + 1) * self.every, self.total_steps)]
        losses = [round(loss, 6) for loss in valley.losses]
        return {"averaged": averaged, "every": self.every, "val_loss": losses}


METHOD = SWAD
