"""Colored squares on a ground, each pixel to be named: a segmentation suite that is learnt in seconds."""

from functools import partial

import torch

from flatqat.data.tensors.image_data import ImageData
from flatqat.finding import Finding
from flatqat.spec import Recipe
from flatqat.suite import Shift, Suite

NAMES = ("ground", "red", "blue")
COLORS = torch.tensor([[90, 120, 90], [200, 40, 40], [40, 40, 200]], dtype=torch.uint8)
HEIGHT, WIDTH = 24, 32


def _draw(first: int, count: int) -> ImageData:
    """Two squares an image, the second over the first; a border without labels on the left."""
    pixels = torch.empty(count, 4, HEIGHT, WIDTH, dtype=torch.uint8)
    for at in range(count):
        generator = torch.Generator().manual_seed(first + at)
        labels = torch.zeros(HEIGHT, WIDTH, dtype=torch.long)
        for name in (1, 2):
            top, left = (int(torch.randint(1, side - 11, (), generator=generator)) for side in labels.shape)
            labels[top : top + 10, left : left + 10] = name
        noise = torch.randint(-30, 31, (HEIGHT, WIDTH, 3), generator=generator)
        pixels[at, :3] = (COLORS[labels] + noise).clamp(0, 255).byte().permute(2, 0, 1)
        labels[:, :2] = 255
        pixels[at, 3] = labels.byte()
    return ImageData.with_label_maps(pixels, classes=len(NAMES), source="toy-map")


def _part(root, *, first: int, count: int) -> ImageData:
    return _draw(first, count)


def _dark(root) -> ImageData:
    return _draw(1000, 16).map(lambda images, ids: images // 2)


RECIPE = Recipe(
    pretrain_steps=60,
    steps=12,
    batch_size=8,
    pretrain_lr=0.1,
    lr=0.02,
    bn_batches=2,
    calibration_batches=1,
    flatness_images=8,
    flatness_draws=2,
    schedule="poly",
)

SUITE = Suite(
    name="toy-map",
    version=1,
    title="squares",
    task="segmentation",
    classes=len(NAMES),
    class_names=NAMES,
    metric="miou",
    default_model="tiny-seg",
    protocol="24x32, drawn",
    layout="nothing on disk",
    train=partial(_part, first=0, count=64),
    val=partial(_part, first=500, count=8),
    shifts=(
        Shift(name="id", family="id", build=partial(_part, first=1000, count=16)),
        Shift(name="dark", family="dark", build=_dark),
    ),
    recipes={"default": RECIPE},
    verify=lambda root: [Finding(ok=True, what="drawn")],
)
