"""ImageNet under 19 corruptions made live: needs the clean images only."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from flatqat.finding import Finding
from flatqat.spec import EvalTransform
from flatqat.suites import _imagenet
from flatqat.suites._corruptions import frost, live, shifts

if TYPE_CHECKING:
    from flatqat.data.images.image_data import ImageData


FRAME = EvalTransform()
MOST_KEPT = 2**30  # bytes of decoded images, 7,000 of them: all 95 corruptions show the same ones


@lru_cache(maxsize=1)
def _clean(root: Path | None) -> "ImageData":
    from flatqat.data.images.views import eval_crop

    return _imagenet.clean(root).transformed(eval_crop(FRAME)).kept(MOST_KEPT)


def _corrupted(root: Path | None, *, corruption: str, severity: int) -> "ImageData":
    return live(_clean(root), corruption=corruption, severity=severity, table="imagenet")


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
    shifts=shifts(_clean, _corrupted, extra=True),
    verify=_verify,
    eval_transform=FRAME,
    made_with=frost,
)
