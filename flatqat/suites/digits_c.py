"""Handwritten digits under 15 corruptions; ships with flatqat and trains from scratch in seconds."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flatqat.data import digits
from flatqat.data.images.checks import run_check
from flatqat.data.images.crop import crop
from flatqat.finding import Finding
from flatqat.spec import Recipe
from flatqat.suite import Suite
from flatqat.suites._shifts import frost, on_the_fly, shifts

if TYPE_CHECKING:
    from flatqat.data.tensors.image_data import ImageData

DEFAULT = Recipe(pretrain_steps=300, steps=150, batch_size=64, pretrain_lr=0.1, lr=0.02)
SMOKE = replace(DEFAULT, pretrain_steps=60, steps=30, bn_batches=4, flatness_images=64, flatness_draws=5)


def _load(root: Path | None, *, part: digits.Part) -> "ImageData":
    return digits.load(part)


def _verify(root: Path | None) -> list[Finding]:
    return [run_check(digits.describe)]


TEST = partial(_load, part="test")

SUITE = Suite(
    name="digits-c",
    version=2,  # 2: random numbers of 16 bits
    title="handwritten digits, corrupted on the fly",
    task="classification",
    classes=10,
    metric="top1",
    default_model="tiny",
    protocol=(
        "8x8 grey digits enlarged to 32x32 RGB, bilinear (half-pixel centres, no antialias), values "
        "x 255/16, no crop; 497 test images; corruptions made live with the constants of CIFAR-10-C; "
        "normalised by the model; trained on 1,100 images moved by up to 2 pixels"
    ),
    layout="nothing on disk: the images ship with scikit-learn",
    train=partial(_load, part="train"),
    val=partial(_load, part="val"),
    shifts=shifts(TEST, partial(on_the_fly, TEST), extra=False),
    recipes={"default": DEFAULT, "smoke": SMOKE},
    verify=_verify,
    augment=partial(crop, padding=2, flip=False),
    made_with=frost,
)
