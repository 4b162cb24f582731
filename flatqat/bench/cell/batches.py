"""The images that a job trains and calibrates on: the same for every method, drawn from the cell's seed."""

from collections.abc import Iterator

import torch
from torch import Tensor

from flatqat.bench.plan.jobs import Job
from flatqat.data.images.views import eval_crop
from flatqat.data.tensors.image_data import ImageData, Transform
from flatqat.data.tensors.reading import read_ahead
from flatqat.spec import EvalTransform
from flatqat.suite import Suite

Batch = tuple[Tensor, Tensor]

BATCH_SIZE, SMALLEST_BATCH = 256, 16
VAL_BATCH_SIZE = 64
BATCH_VALUES = 2**23  # on a CPU larger batches only leave its cache: 55 images of 224 pixels
PIXEL_VALUES = 2**25  # on a GPU: 4 images of 1024x2048, whose logits are 640 MB


def training_batches(
    job: Job,
    data: ImageData,
    steps: int,
    device: torch.device,
    *,
    eval_transform: EvalTransform,
    workers: int = 0,
    rows: slice | None = None,
) -> Iterator[Batch]:
    """Yield augmented training batches, epoch after epoch; the cell's seed decides, whatever the method.

    Each of the data's groups contributes an equal part of every batch, in epochs of its own. Of each batch,
    only `rows` are decoded and yielded, by default all.
    """
    order = torch.Generator().manual_seed(job.cell.derive_seed("batches"))
    draws = torch.Generator().manual_seed(job.cell.derive_seed("augment"))
    requests = (
        (_randomly_transformed(job, data, eval_transform, draws), index if rows is None else index[rows])
        for index in _indices(data, job.recipe.batch_size, steps, order)
    )
    whole = batch_length(data, job.recipe.batch_size)
    for images, labels in read_ahead(requests, device, workers):
        yield _augmented(images, job.suite, draws, rows, whole), labels


def fixed_batches(
    job: Job, data: ImageData, purpose: str, count: int, device: torch.device, eval_transform: EvalTransform
) -> list[Batch]:
    """Return `count` batches of training images without augmentation, the same for every method."""
    generator = torch.Generator().manual_seed(job.cell.derive_seed(purpose))
    size = min(job.recipe.batch_size, len(data))
    full = min(count, len(data) // size)  # a smaller last batch would weigh as much as the others
    index = torch.randperm(len(data), generator=generator)[: full * size]
    data = data.transformed(fixed_transform(job.suite, eval_transform))
    return [data.batch(part, device) for part in index.view(full, size)]


def scoring_batch_size(data: ImageData, device: torch.device) -> int:
    """Return BATCH_SIZE, or less for large images on a CPU and for models with logits at each pixel."""
    per_pixel = data.per_pixel
    if device.type != "cpu" and not per_pixel:
        return BATCH_SIZE
    values = data.fetch(torch.arange(1)).numel()
    most = BATCH_VALUES if device.type == "cpu" else PIXEL_VALUES
    return max(1 if per_pixel else SMALLEST_BATCH, min(BATCH_SIZE, most // values))


def val_batch_size(data: ImageData, device: torch.device) -> int:
    """Return the batch size for scoring `val` during training: less memory is free than in evaluation."""
    return scoring_batch_size(data, device) if data.per_pixel else VAL_BATCH_SIZE


def fixed_transform(suite: Suite, eval_transform: EvalTransform) -> Transform:
    """Return the transform of training images for calibration, BatchNorm statistics and flatness."""
    return suite.fixed_transform or eval_crop(eval_transform)


def batch_length(data: ImageData, batch_size: int) -> int:
    """Return how many images each training batch has.

    These are fewer than `batch_size` where the data has fewer, or where its groups cannot share it equally.
    """
    return sum(size for _, size in _groups(data, batch_size))


def _groups(data: ImageData, batch_size: int) -> list[tuple[Tensor, int]]:
    """Return the images of each group, and how many of them each batch has."""
    groups = [torch.arange(len(data))]
    if data.groups is not None:
        groups = [(data.groups == group).nonzero()[:, 0] for group in data.groups.unique()]
    return [(group, min(batch_size // len(groups), len(group))) for group in groups]


def _indices(data: ImageData, batch_size: int, steps: int, order: torch.Generator) -> Iterator[Tensor]:
    groups = _groups(data, batch_size)
    unused = [torch.empty(0, dtype=torch.long)] * len(groups)  # of each group's epoch
    for _ in range(steps):
        parts = []
        for number, (group, size) in enumerate(groups):
            if len(unused[number]) < size:
                unused[number] = group[torch.randperm(len(group), generator=order)]
            parts.append(unused[number][:size])
            unused[number] = unused[number][size:]
        yield torch.cat(parts)


def _augmented(
    images: Tensor, suite: Suite, draws: torch.Generator, rows: slice | None, whole: int
) -> Tensor:
    """Augment some rows exactly as within the whole batch; the other rows are black."""
    if suite.augment is None:
        return images
    if rows is None:
        return suite.augment(images, draws)
    batch = images.new_zeros(whole, *images.shape[1:])
    batch[rows] = images
    return suite.augment(batch, draws)[rows]


def _randomly_transformed(
    job: Job, data: ImageData, eval_transform: EvalTransform, draws: torch.Generator
) -> ImageData:
    if data.through_transform is None:
        return data
    if job.suite.train_transform is None:
        return data.transformed(fixed_transform(job.suite, eval_transform))
    seed = int(torch.randint(2**62, (), generator=draws))
    return data.transformed(job.suite.train_transform(eval_transform, seed))
