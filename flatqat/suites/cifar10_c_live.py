"""CIFAR-10 under 19 corruptions made live: needs the clean images only."""

from pathlib import Path
from typing import TYPE_CHECKING

from flatqat.spec import Budget, Finding, Suite
from flatqat.suites._corruptions import live, shifts

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from flatqat.data.images import ImageData

LAYOUT = """one of these in the data root, or in its folder cifar10:
  {train,test}-*.parquet                          Hugging Face, also in plain_text/, columns img and label
  cifar-10-batches-py/{data_batch_1..5,test_batch}   the original archive, unpacked
  {train,test}/<class>/*.{png,jpg}                a folder a class"""


def _train(root: Path | None) -> "ImageData":
    from flatqat.data import cifar10

    return cifar10.train(root)


def _val(root: Path | None) -> "ImageData":
    from flatqat.data import cifar10

    return cifar10.val(root)


def _test(root: Path | None) -> "ImageData":
    from flatqat.data import cifar10

    return cifar10.test(root)


def _corrupted(root: Path | None, *, corruption: str, severity: int) -> "ImageData":
    return live(_test(root), corruption=corruption, severity=severity)


def _augment(x: "Tensor", generator: "Generator") -> "Tensor":
    from flatqat.data.augment import crop

    return crop(x, generator, padding=4, flip=True)


def _verify(root: Path | None) -> list[Finding]:
    from flatqat.data import cifar10_verify

    return cifar10_verify.verify(root)


SUITE = Suite(
    name="cifar10-c-live",
    version=1,
    title="CIFAR-10, corrupted live",
    task="classification",
    classes=10,
    metric="top1",
    default_model="cifar:resnet20",
    protocol=(
        "32x32 RGB as stored, no resize, no crop; 10,000 test images; corruptions made live with the "
        "constants of CIFAR-10-C; normalised by the model; trained on 45,000 images with 4-pixel crops "
        "and flips"
    ),
    layout=LAYOUT,
    train=_train,
    val=_val,
    shifts=shifts(_test, _corrupted, extra=True),
    budgets={
        "default": Budget(pretrain_steps=20_000, steps=4_000),
        "smoke": Budget(pretrain_steps=300, steps=150, flatness_images=128),
        "long": Budget(pretrain_steps=64_000, steps=20_000),
    },
    verify=_verify,
    augment=_augment,
)
