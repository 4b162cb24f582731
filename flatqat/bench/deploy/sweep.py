"""A cell and the runs of its file on the same decoded batches of every set."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from flatqat.bench.cell.batches import scoring_batch_size
from flatqat.bench.deploy.agreement import Agreement
from flatqat.bench.deploy.runtime import LogitsFn
from flatqat.bench.deploy.summary import SetOutcome, Side
from flatqat.console.progress import Advance, part
from flatqat.data.images.views import eval_crop
from flatqat.data.tensors.image_data import ImageData
from flatqat.data.tensors.reading import Reader
from flatqat.errors import UsageError
from flatqat.metrics.metric import Metric
from flatqat.metrics.task import Meter, Task, task_of
from flatqat.models.base import Normalized
from flatqat.models.sliding import slide
from flatqat.quant.apply import cached_weights
from flatqat.spec import Score
from flatqat.suite import Shift, Suite

CPU = torch.device("cpu")
Look = Callable[[Tensor], None]
"""What is done with the first images of each set, beside scoring them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What one set showed: the scores of the cell, and by run what it and the cell did."""

    scores: Mapping[str, Score]
    seen: Mapping[str, SetOutcome]


class SideBySide:
    """Scores a cell and the runs of its file, by name, one set after the other.

    Images are decoded once for all; all see them through the cell's window, if it has one.
    """

    def __init__(
        self,
        suite: Suite,
        model: Normalized,
        runs: Mapping[str, LogitsFn],
        *,
        root: Path | None,
        limit: int | None,
        workers: int,
    ) -> None:
        self.suite, self.model, self.runs = suite, model, runs
        self.root, self.limit, self.workers = root, limit, workers
        self.task: Task = task_of(suite.task)

    def images(self, shift: Shift) -> ImageData:
        """Return the images of a set as the cell sees them."""
        data = shift.build(self.root).sample(self.limit)
        return data.transformed(eval_crop(self.model.eval_transform))

    @torch.inference_mode()
    def each(
        self, shifts: Sequence[Shift], look: Look, advance: Advance, counts: Mapping[str, int]
    ) -> dict[str, Swept]:
        """Return what the sets show, by name; `counts` says how many images each is expected to have.

        Raises UsageError if the file does not return logits as the cell does.
        """
        with cached_weights(), Reader(CPU, self.workers) as reader:
            swept = {}
            for shift in shifts:
                with part(advance, counts[shift.name]) as count:
                    swept[shift.name] = self._swept(shift, reader, look, count)
            return swept

    def _swept(self, shift: Shift, reader: Reader, look: Look, advance: Advance) -> Swept:
        meters = {name: self._meter(shift) for name in ("", *self.runs)}
        agreements = {name: Agreement(shift.class_subset, shift.groups) for name in self.runs}
        data, first = self.images(shift), True
        for images, labels in reader.batches(data.parts(scoring_batch_size(data, CPU))):
            expected = self.model.predict(images)
            meters[""].add(expected, labels)
            for name, run in self.runs.items():
                logits = self._predict(run, images)
                meters[name].add(logits, labels)
                agreements[name].add(expected, logits, labels)
            if first:
                look(images)
            first = False
            advance(len(images))
        metric = self.task.metric
        scores = meters[""].result()[0]
        sides = {name: _side(meter, metric) for name, meter in meters.items()}
        return Swept(
            scores=scores,
            seen={
                name: SetOutcome(cell=sides[""], file=sides[name], agreement=agreements[name])
                for name in self.runs
            },
        )

    def _meter(self, shift: Shift) -> Meter:
        return self.task.meter(self.suite.classes, shift.class_subset, shift.groups)

    def _predict(self, run: LogitsFn, images: Tensor) -> Tensor:
        def checked(seen: Tensor) -> Tensor:
            logits = run(seen)
            sides = seen.shape[2:] if self.suite.task == "segmentation" else ()
            if logits.shape != (shape := (len(seen), self.suite.classes, *sides)):
                got = f"got {tuple(logits.shape)}; export the cell again"
                raise UsageError(f"the file: expected logits {shape}, {got}")
            return logits

        window = self.model.window
        return slide(checked, images, window) if window else checked(images)


def first_window(model: Normalized, images: Tensor) -> Tensor:
    """Return images as the network itself sees them: of those under a sliding window, the first window."""
    if model.window is None:
        return images
    return images[..., : model.window.height, : model.window.width]


def _side(meter: Meter, metric: Metric) -> Side:
    scores, outcomes = meter.result()
    return Side(value=scores[metric.name].value, outcome=metric.outcome(asdict(outcomes)))
