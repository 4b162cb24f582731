"""Which images a job trains and calibrates on: the same ones for every method, drawn from the cell's seed."""

from collections.abc import Iterator

import torch
from torch import Tensor

from flatqat.bench.plan.jobs import Job
from flatqat.data.images.image_data import ImageData, Transform, read_ahead
from flatqat.data.images.views import eval_crop
from flatqat.spec import EvalTransform
from flatqat.suite import Suite

Batch = tuple[Tensor, Tensor]

BATCH_SIZE, SMALLEST_BATCH = 256, 16
VAL_BATCH_SIZE = 64
BATCH_VALUES = 2**23  # on a CPU larger batches only leave its cache: 55 images of 224 pixels
MASKED_VALUES = 2**25  # on a GPU: 4 images of 1024x2048, whose logits are 640 MB


def training_batches(
    job: Job, data: ImageData, steps: int, device: torch.device, *, frame: EvalTransform, workers: int = 0
) -> Iterator[Batch]:
    """Augmented training batches, epoch after epoch, drawn from the cell's seed whatever the method.

    Each of the data's groups gives an equal part of a batch, in epochs of its own.
    """
    order = torch.Generator().manual_seed(job.cell.derive_seed("batches"))
    draws = torch.Generator().manual_seed(job.cell.derive_seed("augment"))
    wanted = (
        (_seen_at_random(job, data, frame, draws), index)
        for index in _indices(data, job.recipe.batch_size, steps, order)
    )
    for images, labels in read_ahead(wanted, device, workers):
        yield job.suite.augment(images, draws) if job.suite.augment else images, labels


def fixed_batches(
    job: Job, data: ImageData, purpose: str, count: int, device: torch.device, *, frame: EvalTransform
) -> list[Batch]:
    """Training images as they are, without augmentation, the same for every method."""
    generator = torch.Generator().manual_seed(job.cell.derive_seed(purpose))
    size = min(job.recipe.batch_size, len(data))
    whole = min(count, len(data) // size)  # a smaller last batch would weigh as much as the others
    index = torch.randperm(len(data), generator=generator)[: whole * size]
    seen = data.transformed(fixed_transform(job.suite, frame))
    return [seen.batch(part, device) for part in index.view(whole, size)]


def scoring_batch_size(data: ImageData, device: torch.device) -> int:
    """BATCH_SIZE, or fewer where images are large and the device is a CPU, or each pixel has logits."""
    per_pixel = data.per_pixel
    if device.type != "cpu" and not per_pixel:
        return BATCH_SIZE
    values = data.fetch(torch.arange(1)).numel()
    most = BATCH_VALUES if device.type == "cpu" else MASKED_VALUES
    return max(1 if per_pixel else SMALLEST_BATCH, min(BATCH_SIZE, most // values))


def val_batch_size(data: ImageData, device: torch.device) -> int:
    """For looks at `val` during training: VAL_BATCH_SIZE, or as in scoring where each pixel has logits."""
    return scoring_batch_size(data, device) if data.per_pixel else VAL_BATCH_SIZE


def fixed_transform(suite: Suite, frame: EvalTransform) -> Transform:
    """How training images are seen where nothing may be random."""
    return suite.fixed_transform or eval_crop(frame)


def _indices(data: ImageData, batch_size: int, steps: int, order: torch.Generator) -> Iterator[Tensor]:
    groups = [torch.arange(len(data))]
    if data.groups is not None:
        groups = [(data.groups == group).nonzero()[:, 0] for group in data.groups.unique()]
    sizes = [min(batch_size // len(groups), len(group)) for group in groups]
    waiting = [torch.empty(0, dtype=torch.long)] * len(groups)
    for _ in range(steps):
        parts = []
        for at, (group, size) in enumerate(zip(groups, sizes, strict=True)):
            if len(waiting[at]) < size:
                waiting[at] = group[torch.randperm(len(group), generator=order)]
            parts.append(waiting[at][:size])
            waiting[at] = waiting[at][size:]
        yield torch.cat(parts)


def _seen_at_random(job: Job, data: ImageData, frame: EvalTransform, draws: torch.Generator) -> ImageData:
    if data.through_transform is None:
        return data
    if job.suite.train_transform is None:
        return data.transformed(fixed_transform(job.suite, frame))
    return data.transformed(job.suite.train_transform(frame, int(torch.randint(2**62, (), generator=draws))))
