"""ImageNet under 19 corruptions made live: needs the clean images only."""

from pathlib import Path
from typing import TYPE_CHECKING

from flatqat.spec import Finding, Frame
from flatqat.suites import _imagenet
from flatqat.suites._corruptions import live, shifts

if TYPE_CHECKING:
    from flatqat.data.images import ImageData


def _corrupted(root: Path | None, *, corruption: str, severity: int) -> "ImageData":
    return live(_imagenet.clean(root), corruption=corruption, severity=severity, table="imagenet")


def _verify(root: Path | None) -> list[Finding]:
    from flatqat.data.imagenet import verify

    return verify.verify(root)


SUITE = _imagenet.suite(
    name="imagenet-c-live",
    title="ImageNet, corrupted live",
    protocol=(
        f"50,000 validation images, {_imagenet.AS_CORRUPTED}; corruptions made live after that with the "
        "constants of ImageNet-C, in memory, not encoded as JPEG again; 1,000 classes, no mask; "
        f"{_imagenet.TRAINED}"
    ),
    layout=_imagenet.LAYOUT,
    shifts=shifts(_imagenet.clean, _corrupted, extra=True),
    verify=_verify,
    frame=Frame(),
)
