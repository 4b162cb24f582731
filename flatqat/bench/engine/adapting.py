"""Adaptation: a network is fitted, without labels, to the images of each set before it is scored on it.

`bn` estimates BatchNorm statistics on all images of the set, with quantizers on, and then scores it in eval
mode. Before that `bn+steps` sets the ranges of input quantizers anew, as the method does before training,
from the inputs in the first batches, which are not rounded meanwhile. Weights and their grids stay.

Batches are the same whatever memory there is, since others would give other statistics.

Source: Schneider et al. 2020 (arXiv 2006.16971), section 2, without their prior (N = 0), and Nado et al. 2020
(arXiv 2006.10963), here with the statistics of the whole set in place of those of each batch that is scored.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from copy import deepcopy

import torch
from torch import Tensor

from flatqat.bench.plan.jobs import Job
from flatqat.data.tensors.image_data import ImageData
from flatqat.data.tensors.reading import Reader
from flatqat.methods.batchnorm import estimated, reestimating
from flatqat.models.base import Normalized
from flatqat.quant.apply import quantizers
from flatqat.quant.base import PERCENTILE, RANGES, Quantizer, RangeInit
from flatqat.quant.grids import set_input_grids_
from flatqat.quant.observe import observing
from flatqat.spec import Adapt
from flatqat.suite import Shift

Guarded = Callable[[Job], AbstractContextManager[None]]

LEAST, MOST = 2, 64  # images of a batch: BatchNorm cannot normalize a single one that is pooled to one pixel
MOST_VALUES = 2**23  # 55 images of 224 pixels
RANGE_BATCHES, ALL_BATCHES = 4, 2**62
ORDER_SEED = 0

BATCHNORM = (
    f"adapted: BatchNorm statistics of each scored set's own images without labels, ID included and val not, "
    f"averaged over batches of {MOST} or more in a fixed random order (fewer from 224 pixels on)"
)
WORDS: dict[Adapt, str] = {
    "bn": BATCHNORM,
    "bn+steps": f"{BATCHNORM}; before that ranges of quantized inputs set anew on {RANGE_BATCHES} batches",
}


def is_adapted(job: Job, shift: Shift) -> bool:
    """Whether a job's network is fitted to a set: `val`, which chooses settings, is scored as trained."""
    return job.cell.adapt is not None and shift.name != "val"


def batches_of(data: ImageData) -> list[Tensor]:
    """Return the index of each batch: all images in a fixed random order, sizes equal but for one image.

    A batch has as many images as MOST and MOST_VALUES allow, or up to twice as many.
    """
    size = max(LEAST, min(MOST, MOST_VALUES // data.fetch(torch.arange(1)).numel()))
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(ORDER_SEED))
    return list(order.tensor_split(max(1, len(data) // size)))


@contextmanager
def fitted(
    jobs: Sequence[Job], models: Mapping[str, Normalized], data: ImageData, reader: Reader, guarded: Guarded
) -> Iterator[None]:
    """Fit the models of jobs (by the ids of their cells) to images within the context.

    All see each batch side by side. Each one's part runs within `guarded(job)`, which may remove a model that
    fails.
    """
    fits = {job.cell.id: fitting(models[job.cell.id], job) for job in jobs}
    parts, left = batches_of(data), list(jobs)
    try:
        while left:
            wanted: dict[str, int] = {}
            for job in left:
                with guarded(job):
                    wanted[job.cell.id] = next(fits[job.cell.id])
            left = [job for job in left if wanted.get(job.cell.id)]
            most = max((wanted[job.cell.id] for job in left), default=0)
            for number, (images, _) in enumerate(reader.batches((data, part) for part in parts[:most])):
                for job in left:
                    if number < wanted[job.cell.id] and (model := models.get(job.cell.id)):
                        with guarded(job):
                            model.predict(images)
            left = [job for job in left if job.cell.id in models]
        yield
    finally:
        for fit in fits.values():
            fit.close()


def fitting(model: Normalized, job: Job) -> Generator[int, None, None]:
    """Fit a model to a set, and put it back as it was when the generator is closed.

    It yields how many of the batches the model must predict before the generator is resumed; the last number
    is 0: the model can be scored. It raises TrainingFailed if an input has no finite range.
    """
    inputs = {}
    if job.cell.adapt == "bn+steps":
        inputs = {name: q for name, q in quantizers(model.net) if q.role == "input"}
    changed = [*estimated(model.net), *inputs.values()]
    before = [deepcopy(module.state_dict()) for module in changed]
    try:
        if inputs:
            with reestimating(model.net), observing(inputs.values()):
                yield RANGE_BATCHES
                _set_ranges(inputs, job)
        with reestimating(model.net):
            yield ALL_BATCHES
        yield 0
    finally:
        for module, state in zip(changed, before, strict=True):
            module.load_state_dict(state)


def _set_ranges(inputs: Mapping[str, Quantizer], job: Job) -> None:
    """Set the grids of input quantizers from the values they observed, with the method's own settings."""
    ranges: RangeInit = getattr(job.config, "ranges", RANGES)
    set_input_grids_(inputs, ranges, getattr(job.config, "percentile", PERCENTILE))
