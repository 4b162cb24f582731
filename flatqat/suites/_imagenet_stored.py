"""Suites of ImageNet's validation images that were corrupted by others and are read from disk."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flatqat.data.imagenet.names import CorruptedSet
from flatqat.finding import Finding
from flatqat.spec import EvalTransform
from flatqat.suite import Suite
from flatqat.suites import _imagenet
from flatqat.suites._corruptions import EXTRA, shifts

if TYPE_CHECKING:
    from flatqat.data.images.image_data import ImageData


def stored(wanted: CorruptedSet, *, name: str, about: str, **more: Any) -> Suite:
    """`id` and every corruption at five severities, all of the same images; `about` tells of the latter."""
    return _imagenet.suite(
        name=name,
        title=f"ImageNet and {wanted.title}",
        protocol=(
            f"50,000 validation images, or as many of them as the copy of {wanted.title} has: clean ones "
            f"{_imagenet.AS_CORRUPTED}; corrupted ones as stored, 224x224, no resize, no crop; {about}; "
            f"1,000 classes, no mask; {_imagenet.TRAINED}"
        ),
        layout=(
            f"the corrupted images in the data root, or the data root itself:\n  {wanted.layout}\n"
            f"and {_imagenet.LAYOUT}"
        ),
        shifts=shifts(
            partial(_clean, wanted=wanted),
            partial(_corrupted, wanted=wanted),
            extra=True,
            families=wanted.families,
        ),
        verify=partial(_verify, wanted=wanted),
        missing_shifts=partial(_missing_shifts, wanted=wanted),
        eval_transform=EvalTransform(),
        **more,
    )


def _clean(root: Path | None, *, wanted: CorruptedSet) -> "ImageData":
    from flatqat.data.imagenet import corrupted

    return corrupted.uncorrupted(root, wanted)


def _corrupted(root: Path | None, *, wanted: CorruptedSet, corruption: str, severity: int) -> "ImageData":
    from flatqat.data.imagenet import corrupted

    return corrupted.corrupted(root, wanted, corruption=corruption, severity=severity)


def _missing_shifts(root: Path | None, *, wanted: CorruptedSet) -> frozenset[str]:
    from flatqat.data.corruptions.names import SEVERITIES
    from flatqat.data.imagenet import corrupted

    gone = corrupted.missing_shifts(root, wanted, EXTRA)
    return frozenset(f"{name}/{severity}" for name in gone for severity in SEVERITIES)


def _verify(root: Path | None, *, wanted: CorruptedSet) -> list[Finding]:
    from flatqat.data.imagenet import verify_sets

    return verify_sets.verify_corrupted(root, wanted, EXTRA)
