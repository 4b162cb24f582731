"""Suites of CIFAR-10 and CIFAR-100: corrupted on the fly, from the official files, and system noise."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flatqat.data.cifar.corrupted import clean_root, corrupted
from flatqat.data.cifar.load import Part, load
from flatqat.data.cifar.sets import Cifar
from flatqat.data.cifar.verify import verify
from flatqat.data.cifar.verify_corrupted import verify_corrupted
from flatqat.data.images.crop import crop
from flatqat.spec import Recipe
from flatqat.suite import Suite
from flatqat.suites import _sysnoise
from flatqat.suites._shifts import frost, on_the_fly, shifts

if TYPE_CHECKING:
    from flatqat.data.tensors.image_data import ImageData

PROTOCOL = (
    "32x32 RGB as stored, no resize, no crop; {images}; {shifts}; normalised by the model; "
    "trained on 45,000 images with 4-pixel crops and flips"
)


def live_suite(cifar: Cifar, *, version: int = 1, images: str = "10,000 test images") -> Suite:
    """Return the suite of the clean test images and 19 corruptions of them, generated on the fly.

    The protocol describes the test images as `images`.
    """
    test = partial(load, cifar, "test")
    return Suite(
        name=f"{cifar.slug}-c-live",
        version=version,
        title=f"{cifar.name}, corrupted on the fly",
        task="classification",
        classes=len(cifar.classes),
        metric="top1",
        default_model="cifar:resnet20",
        protocol=PROTOCOL.format(
            images=images, shifts="corruptions made live with the constants of CIFAR-10-C"
        ),
        layout=_clean_layout(cifar),
        train=partial(load, cifar, "train"),
        val=partial(load, cifar, "val"),
        shifts=shifts(test, partial(on_the_fly, test), extra=True),
        recipes={
            "default": Recipe(pretrain_steps=20_000, steps=4_000),
            "smoke": Recipe(pretrain_steps=300, steps=150, flatness_images=128),
            "long": Recipe(pretrain_steps=64_000, steps=20_000),
        },
        verify=partial(verify, cifar),
        augment=partial(crop, padding=4, flip=True),
        made_with=frost,
    )


def official_suite(cifar: Cifar, *, images: str = "10,000 test images") -> Suite:
    """Return the same suite with the published corrupted images, the files of `cifar.corrupted`."""
    return replace(
        live_suite(cifar),
        name=f"{cifar.slug}-c",
        title=f"{cifar.name} and {cifar.corrupted}",
        protocol=PROTOCOL.format(images=images, shifts="corruptions from the official files"),
        layout=_layout(cifar),
        train=partial(_clean_beside, cifar, "train"),
        val=partial(_clean_beside, cifar, "val"),
        shifts=shifts(partial(_clean_beside, cifar, "test"), partial(corrupted, cifar), extra=True),
        verify=partial(verify_corrupted, cifar),
        made_with=str,  # nothing
    )


def noisy_suite(cifar: Cifar, *, images: str = "10,000 test images") -> Suite:
    """Return the suite of the clean test images and their system noise."""
    shifts = f"{_sysnoise.THERE_AND_BACK}; {_sysnoise.COLOR}; {_sysnoise.MEAN}"
    return replace(
        live_suite(cifar),
        name=f"sysnoise-{cifar.slug}",
        title=f"{cifar.name} under system noise",
        protocol=PROTOCOL.format(images=images, shifts=shifts),
        shifts=_sysnoise.in_memory(partial(load, cifar, "test")),
        made_with=str,  # nothing
    )


def _clean_beside(cifar: Cifar, part: Part, root: Path | None) -> "ImageData":
    """Load clean images, which lie beside the corrupted ones if the data root is the latter's folder."""
    return load(cifar, part, clean_root(cifar, root))


def _clean_layout(cifar: Cifar) -> str:
    return f"""one of these in the data root, or in its folder {cifar.slug}:
  {{train,test}}-*.parquet             Hugging Face, also in {cifar.config}/, columns img and {cifar.column}
  {cifar.unpacked + "/":<34} the original archive, unpacked
  {{train,test}}/<class>/*.{{png,jpg}}   one folder per class"""


def _layout(cifar: Cifar) -> str:
    name = cifar.corrupted
    return f"""the corrupted images in the data root, or the data root itself with {cifar.name} beside it:
  {name}/<corruption>.npy   19 files, uint8 (50000, 32, 32, 3), severity s in rows 10000(s - 1) to 10000s
  {name}/labels.npy         (50000,)
and the clean ones in their original order, {_clean_layout(cifar)}"""
