"""Handwritten digits under 15 live corruptions: small, embedded, trained from scratch in seconds."""

from pathlib import Path
from typing import TYPE_CHECKING

from flatqat.finding import Finding
from flatqat.spec import Recipe
from flatqat.suite import Suite
from flatqat.suites._corruptions import frost, live, shifts

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from flatqat.data.digits import Part
    from flatqat.data.images.image_data import ImageData


def _part(part: "Part") -> "ImageData":
    from flatqat.data import digits

    return digits.load(part)


def _test(root: Path | None) -> "ImageData":
    return _part("test")


def _corrupted(root: Path | None, *, corruption: str, severity: int) -> "ImageData":
    return live(_part("test"), corruption=corruption, severity=severity)


def _augment(x: "Tensor", generator: "Generator") -> "Tensor":
    from flatqat.data.images.crop import crop

    return crop(x, generator, padding=2, flip=False)


def _verify(root: Path | None) -> list[Finding]:
    from flatqat.data.digits import describe
    from flatqat.data.images.checks import look

    return [look(describe)]


SUITE = Suite(
    name="digits-c",
    version=2,  # 2: random numbers of 16 bits
    title="handwritten digits, corrupted live",
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
    train=lambda root: _part("train"),
    val=lambda root: _part("val"),
    shifts=shifts(_test, _corrupted, extra=False),
    recipes={
        "default": Recipe(pretrain_steps=300, steps=150, batch_size=64, pretrain_lr=0.1, lr=0.02),
        "smoke": Recipe(
            pretrain_steps=60,
            steps=30,
            batch_size=64,
            pretrain_lr=0.1,
            lr=0.02,
            bn_batches=4,
            flatness_images=64,
            flatness_draws=5,
        ),
    },
    verify=_verify,
    augment=_augment,
    made_with=frost,
)
