"""Handwritten digits under 14 corruptions; ships with flatqat and trains from scratch in seconds.

The constants of CIFAR-10-C were made for photographs: digits hardly suffer from its noise and blur, and
lose everything in its contrast and fog. So `digits-c` has constants of its own, with which full-precision
networks keep about 95, 90, 80, 65 and 50% at severities 1 to 5 of every corruption, about equal steps in
the logarithm of the odds. `scripts/calibrate_digits.py` chose them by the images of `val` and seeds that no
default run uses. `jpeg_compression` is left out: digits of 8x8 keep 95% at its lowest quality.

The recipe trains on small batches, and measures flatness on a quarter of the images of other suites, so that
three seeds of three methods take less than a minute on two cores.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flatqat.data import digits
from flatqat.data.corruptions.names import NAMES
from flatqat.data.images.checks import run_check
from flatqat.data.images.crop import crop
from flatqat.finding import Finding
from flatqat.spec import Recipe
from flatqat.suite import Suite
from flatqat.suites._shifts import frost, on_the_fly, shifts

if TYPE_CHECKING:
    from flatqat.data.tensors.image_data import ImageData

DEFAULT = Recipe(
    pretrain_steps=300,
    steps=100,
    batch_size=32,
    pretrain_lr=0.05,
    lr=0.05,
    bn_batches=34,
    calibration_batches=8,
    flatness_images=64,
    flatness_draws=10,
)
SMOKE = replace(DEFAULT, pretrain_steps=60, steps=30, bn_batches=8, flatness_images=64, flatness_draws=5)


def _load(root: Path | None, *, part: digits.Part) -> "ImageData":
    return digits.load(part)


def _verify(root: Path | None) -> list[Finding]:
    return [run_check(digits.describe)]


TEST = partial(_load, part="test")
FAMILIES = {name: family for name, family in NAMES.items() if name != "jpeg_compression"}

SUITE = Suite(
    name="digits-c",
    version=3,  # 2: random numbers of 16 bits; 3: constants and split of its own, another recipe
    title="handwritten digits, corrupted on the fly",
    task="classification",
    classes=10,
    metric="top1",
    default_model="tiny",
    protocol=(
        "8x8 grey digits enlarged to 32x32 RGB, bilinear (half-pixel centres, no antialias), values "
        "x 255/16, no crop; 300 test images; 14 corruptions made live with constants "
        "at which full precision keeps about 95, 90, 80, 65 and 50% of the validation images; normalised by "
        "the model; trained on 1,100 images moved by up to 2 pixels"
    ),
    layout="nothing on disk: the images ship with scikit-learn",
    train=partial(_load, part="train"),
    val=partial(_load, part="val"),
    shifts=shifts(TEST, partial(on_the_fly, TEST, table="digits"), extra=False, families=FAMILIES),
    recipes={"default": DEFAULT, "smoke": SMOKE},
    verify=_verify,
    augment=partial(crop, padding=2, flip=False),
    made_with=frost,
)
