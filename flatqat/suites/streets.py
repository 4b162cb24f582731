"""Rendered street scenes in clear weather, fog, night, rain and snow; ships with flatqat."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from flatqat.data.images.checks import run_check
from flatqat.data.images.color_jitter import color_jitter
from flatqat.data.images.segmentation_views import center_crop
from flatqat.data.streets.names import CLASSES
from flatqat.finding import Finding
from flatqat.scenes.load import load
from flatqat.scenes.pinned import check
from flatqat.scenes.size import HEIGHT, WIDTH
from flatqat.spec import Recipe
from flatqat.suite import Shift, Suite
from flatqat.suites._streets import train_transform

WEATHERS = ("fog", "night", "rain", "snow")
CROP, SCALE = (64, 128), (0.8, 1.4)
JITTER, HUE = 0.3, 0.02
PROTOCOL = (
    "drawn scenes of 96x192, 19 classes, the own bonnet left out; trained on 400 clear ones: scale 0.8 to "
    "1.4, windows of 64x128 drawn again, up to ten times, while one class fills more than 75%, flips, colour "
    "jitter of 0.3 with hues turned by 2% at most; calibration, BatchNorm and flatness on whole scenes; ID "
    "100 clear scenes, shifts {shifts}, scored whole unless a window is named; mIoU from the confusion "
    "matrix pooled over a shift, classes without a pixel in truth and prediction left out"
)
DEFAULT = Recipe(
    pretrain_steps=1000, steps=200, batch_size=8, pretrain_lr=0.1, lr=0.015, weight_decay=5e-4,
    schedule="poly", bn_batches=8, calibration_batches=4, flatness_images=8, flatness_draws=5,
)  # fmt: skip
SMOKE = replace(
    DEFAULT, pretrain_steps=20, steps=10, batch_size=4, lr=0.02,
    bn_batches=2, calibration_batches=1, flatness_images=4, flatness_draws=2,
)  # fmt: skip


def _verify(root: Path | None) -> list[Finding]:
    return [run_check(check)]


SUITE = Suite(
    name="streets",
    version=1,
    title="rendered street scenes in five weathers",
    task="segmentation",
    classes=len(CLASSES),
    class_names=CLASSES,
    metric="miou",
    default_model="tiny-seg",
    protocol=PROTOCOL.format(shifts="the same scenes in other weathers"),
    layout="nothing on disk: the scenes are rendered",
    train=partial(load, part="train"),
    val=partial(load, part="val"),
    shifts=(
        Shift(name="id", family="id", build=partial(load, part="test")),
        *(Shift(name=name, family=name, build=partial(load, part="test", weather=name)) for name in WEATHERS),
    ),
    recipes={"default": DEFAULT, "smoke": SMOKE},
    verify=_verify,
    augment=partial(color_jitter, strength=JITTER, hue=HUE),
    train_transform=partial(train_transform, CROP, scale=SCALE),
    fixed_transform=center_crop((HEIGHT, WIDTH)),
)
