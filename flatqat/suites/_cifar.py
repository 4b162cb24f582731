"""The two suites of CIFAR-10 and of CIFAR-100: corrupted live, and from the official corrupted files."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flatqat.data.cifar.sets import Cifar
from flatqat.finding import Finding
from flatqat.spec import Recipe
from flatqat.suite import Suite
from flatqat.suites._corruptions import frost, live, shifts

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from flatqat.data.cifar.load import Part
    from flatqat.data.images.image_data import ImageData

PROTOCOL = (
    "32x32 RGB as stored, no resize, no crop; {images}; corruptions {corruptions}; normalised by the model; "
    "trained on 45,000 images with 4-pixel crops and flips"
)


def live_suite(cifar: Cifar, *, version: int = 1, images: str = "10,000 test images") -> Suite:
    """The clean test images and 19 corruptions of them, made live; `images` stands in the protocol."""
    return Suite(
        name=f"{cifar.slug}-c-live",
        version=version,
        title=f"{cifar.name}, corrupted live",
        task="classification",
        classes=len(cifar.classes),
        metric="top1",
        default_model="cifar:resnet20",
        protocol=PROTOCOL.format(images=images, corruptions="made live with the constants of CIFAR-10-C"),
        layout=_clean_layout(cifar),
        train=partial(_clean, cifar, "train"),
        val=partial(_clean, cifar, "val"),
        shifts=shifts(partial(_clean, cifar, "test"), partial(_live, cifar), extra=True),
        recipes={
            "default": Recipe(pretrain_steps=20_000, steps=4_000),
            "smoke": Recipe(pretrain_steps=300, steps=150, flatness_images=128),
            "long": Recipe(pretrain_steps=64_000, steps=20_000),
        },
        verify=partial(_verify_clean, cifar),
        augment=_augment,
        made_with=frost,
    )


def official_suite(cifar: Cifar, *, images: str = "10,000 test images") -> Suite:
    """The same with the corrupted images that others have published: the files of `cifar.corrupted`."""
    return replace(
        live_suite(cifar),
        name=f"{cifar.slug}-c",
        title=f"{cifar.name} and {cifar.corrupted}",
        protocol=PROTOCOL.format(images=images, corruptions="from the official files"),
        layout=_layout(cifar),
        train=partial(_beside, cifar, "train"),
        val=partial(_beside, cifar, "val"),
        shifts=shifts(partial(_beside, cifar, "test"), partial(_official, cifar), extra=True),
        verify=partial(_verify, cifar),
        made_with=lambda: "",
    )


def _clean(cifar: Cifar, part: "Part", root: Path | None) -> "ImageData":
    from flatqat.data.cifar.load import load

    return load(cifar, part, root)


def _beside(cifar: Cifar, part: "Part", root: Path | None) -> "ImageData":
    from flatqat.data.cifar.corrupted import clean_root

    return _clean(cifar, part, clean_root(cifar, root))


def _live(cifar: Cifar, root: Path | None, *, corruption: str, severity: int) -> "ImageData":
    return live(_clean(cifar, "test", root), corruption=corruption, severity=severity)


def _official(cifar: Cifar, root: Path | None, *, corruption: str, severity: int) -> "ImageData":
    from flatqat.data.cifar.corrupted import corrupted

    return corrupted(cifar, root, corruption=corruption, severity=severity)


def _verify_clean(cifar: Cifar, root: Path | None) -> list[Finding]:
    from flatqat.data.cifar.verify import verify

    return verify(cifar, root)


def _verify(cifar: Cifar, root: Path | None) -> list[Finding]:
    from flatqat.data.cifar.verify_corrupted import verify_corrupted

    return verify_corrupted(cifar, root)


def _augment(x: "Tensor", generator: "Generator") -> "Tensor":
    from flatqat.data.images.crop import crop

    return crop(x, generator, padding=4, flip=True)


def _clean_layout(cifar: Cifar) -> str:
    return f"""one of these in the data root, or in its folder {cifar.slug}:
  {{train,test}}-*.parquet             Hugging Face, also in {cifar.config}/, columns img and {cifar.column}
  {cifar.unpacked + "/":<34} the original archive, unpacked
  {{train,test}}/<class>/*.{{png,jpg}}   a folder a class"""


def _layout(cifar: Cifar) -> str:
    name = cifar.corrupted
    return f"""the corrupted images in the data root, or the data root itself with {cifar.name} beside it:
  {name}/<corruption>.npy   19 files, uint8 (50000, 32, 32, 3), severity s in rows 10000(s - 1) to 10000s
  {name}/labels.npy         (50000,)
and the clean ones in their original order, {_clean_layout(cifar)}"""
