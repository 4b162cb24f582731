"""A suite of a few hundred made-up images, small enough to run the whole benchmark in seconds."""

from flatqat.finding import Finding
from flatqat.spec import Recipe
from flatqat.suite import Shift, Suite

CLASSES, TRAIN, TEST = 4, 256, 96


def _images(count, seed, noise):
    import torch

    from flatqat.data.tensors.image_data import ImageData

    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % CLASSES
    images = torch.full((count, 3, 16, 16), 90.0)
    for label in range(CLASSES):
        row, column = 8 * (label // 2), 8 * (label % 2)
        images[labels == label, :, row : row + 8, column : column + 8] += 60
    images += noise * torch.randn(images.shape, generator=generator)
    return ImageData.in_memory(images.clamp(0, 255).byte(), labels, classes=CLASSES, source="toy")


SUITE = Suite(
    name="toy",
    version=1,
    title="colored quarters",
    task="classification",
    classes=CLASSES,
    metric="top1",
    default_model="tiny",
    protocol="16x16, made up",
    layout="nothing on disk",
    train=lambda root: _images(TRAIN, seed=0, noise=40),
    val=lambda root: _images(TEST, seed=1, noise=40),
    shifts=(
        Shift(name="id", family="id", build=lambda root: _images(TEST, seed=2, noise=40)),
        Shift(name="noise/1", family="noise", severity=1, build=lambda root: _images(TEST, seed=2, noise=80)),
        Shift(
            name="noise/2", family="noise", severity=2, build=lambda root: _images(TEST, seed=2, noise=120)
        ),
    ),
    recipes={
        "default": Recipe(
            pretrain_steps=30,
            steps=12,
            batch_size=32,
            pretrain_lr=0.05,
            lr=0.02,
            bn_batches=2,
            calibration_batches=2,
            flatness_images=32,
            flatness_draws=3,
        )
    },
    verify=lambda root: [Finding(ok=True, what="nothing to look at")],
)
