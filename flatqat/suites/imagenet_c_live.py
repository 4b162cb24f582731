"""ImageNet under 19 corruptions generated on the fly; needs only the clean images."""

from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from flatqat.data.imagenet import clean
from flatqat.data.imagenet.verify import verify
from flatqat.data.images.views import eval_crop
from flatqat.spec import EvalTransform
from flatqat.suites import _imagenet
from flatqat.suites._shifts import frost, on_the_fly, shifts

if TYPE_CHECKING:
    from flatqat.data.tensors.image_data import ImageData

EVAL_TRANSFORM = EvalTransform()


@lru_cache(maxsize=1)
def _clean(root: Path | None) -> "ImageData":
    """Load all validation images, which all corruptions share."""
    return clean.scored(root).transformed(eval_crop(EVAL_TRANSFORM)).decoded_once()


def _train(root: Path | None) -> "ImageData":
    return _clean(root) if clean.untrainable_reason(root) else clean.train(root)


def _val(root: Path | None) -> "ImageData":
    return _clean(root).sample(clean.SELECTION_ALONE) if clean.untrainable_reason(root) else clean.val(root)


SUITE = replace(
    _imagenet.suite(
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
    ),
    train=_train,
    val=_val,
)
