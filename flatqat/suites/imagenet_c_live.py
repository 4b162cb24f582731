"""ImageNet under 19 corruptions generated on the fly; needs only the clean images."""

from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from flatqat.data.imagenet.clean import scored
from flatqat.data.imagenet.verify import verify
from flatqat.data.images.views import eval_crop
from flatqat.spec import EvalTransform
from flatqat.suites import _imagenet
from flatqat.suites._shifts import frost, on_the_fly, shifts

if TYPE_CHECKING:
    from flatqat.data.tensors.image_data import ImageData

EVAL_TRANSFORM = EvalTransform()
MOST_KEPT = 2**30  # bytes of decoded images, about 7,000, which all 95 corruptions share


@lru_cache(maxsize=1)
def _clean(root: Path | None) -> "ImageData":
    return scored(root).transformed(eval_crop(EVAL_TRANSFORM)).cached(MOST_KEPT)


SUITE = _imagenet.suite(
    name="imagenet-c-live",
    title="ImageNet, corrupted on the fly",
    protocol=(
        f"50,000 validation images, {_imagenet.AS_CORRUPTED}; corruptions made live after that with the "
        "constants of ImageNet-C, in memory, not encoded as JPEG again; 1,000 classes, no mask; "
        f"{_imagenet.TRAINED}"
    ),
    layout=_imagenet.LAYOUT,
    shifts=shifts(_clean, partial(on_the_fly, _clean, table="imagenet"), extra=True),
    verify=verify,
    eval_transform=EVAL_TRANSFORM,
    made_with=frost,
)
