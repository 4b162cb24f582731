"""Drawn street scenes in clear weather, fog, night, rain and snow: small, embedded, from scratch."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flatqat.data.streets.names import CLASSES
from flatqat.finding import Finding
from flatqat.scenes.size import HEIGHT, WIDTH
from flatqat.spec import EvalTransform, Recipe
from flatqat.suite import Shift, Suite
from flatqat.suites._streets import fixed_transform

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from flatqat.data.images.image_data import ImageData, Transform
    from flatqat.scenes.load import Part

WEATHERS = ("fog", "night", "rain", "snow")
CROP = (64, 128)
SCALE = (0.8, 1.4)
JITTER, HUE = 0.3, 0.02


def _part(root: Path | None, *, part: "Part", weather: str = "clear") -> "ImageData":
    from flatqat.scenes.load import load

    return load(part, weather)


def _view(_: EvalTransform, seed: int) -> "Transform":
    from flatqat.data.images.segmentation_views import jitter_crop

    return jitter_crop(CROP, seed, scale=SCALE)


def _augment(x: "Tensor", generator: "Generator") -> "Tensor":
    from flatqat.data.images.color_jitter import color_jitter

    return color_jitter(x, generator, strength=JITTER, hue=HUE)


def _verify(root: Path | None) -> list[Finding]:
    from flatqat.data.images.checks import look
    from flatqat.scenes.pinned import check

    return [look(check)]


SUITE = Suite(
    name="streets",
    version=1,
    title="drawn street scenes in five weathers",
    task="segmentation",
    classes=len(CLASSES),
    class_names=CLASSES,
    metric="miou",
    default_model="tiny-seg",
    protocol=(
        "drawn scenes of 96x192, 19 classes, the own bonnet left out; trained on 400 clear ones: scale 0.8 "
        "to 1.4, windows of 64x128 drawn again, up to ten times, while one class fills more than 75%, flips, "
        "colour jitter of 0.3 with hues turned by 2% at most; calibration, BatchNorm and flatness on whole "
        "scenes; ID 100 clear scenes, shifts the same scenes in other weathers, scored whole unless a window "
        "is named; mIoU from the confusion matrix pooled over a shift, classes without a pixel in truth and "
        "prediction left out"
    ),
    layout="nothing on disk: the scenes are drawn",
    train=partial(_part, part="train"),
    val=partial(_part, part="val"),
    shifts=(
        Shift(name="id", family="id", build=partial(_part, part="test")),
        *(
            Shift(name=name, family=name, build=partial(_part, part="test", weather=name))
            for name in WEATHERS
        ),
    ),
    recipes={
        "default": Recipe(
            pretrain_steps=1000,
            steps=200,
            batch_size=8,
            pretrain_lr=0.1,
            lr=0.015,
            weight_decay=5e-4,
            schedule="poly",
            bn_batches=8,
            calibration_batches=4,
            flatness_images=8,
            flatness_draws=5,
        ),
        "smoke": Recipe(
            pretrain_steps=20,
            steps=10,
            batch_size=4,
            pretrain_lr=0.1,
            lr=0.02,
            weight_decay=5e-4,
            schedule="poly",
            bn_batches=2,
            calibration_batches=1,
            flatness_images=4,
            flatness_draws=2,
        ),
    },
    verify=_verify,
    augment=_augment,
    train_transform=_view,
    fixed_transform=partial(fixed_transform, (HEIGHT, WIDTH)),
)
