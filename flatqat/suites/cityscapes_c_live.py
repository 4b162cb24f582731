"""Cityscapes under 15 corruptions generated on the fly; needs only the clean images."""

from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from flatqat.data.streets import cityscapes
from flatqat.suites import _streets
from flatqat.suites._shifts import frost, on_the_fly, shifts

if TYPE_CHECKING:
    from flatqat.data.tensors.image_data import ImageData


@lru_cache(maxsize=1)
def _clean(root: Path | None) -> "ImageData":
    """Load all validation images, which all corruptions share."""
    return cityscapes.scored(root).decoded_once()


def _val(root: Path | None) -> "ImageData":
    alone = cityscapes.untrainable_reason(root)
    return _clean(root).sample(cityscapes.SELECTION_ALONE) if alone else cityscapes.val(root)


ID, *CORRUPTED = shifts(_clean, partial(on_the_fly, _clean, table="imagenet"), extra=False)

SUITE = _streets.suite(
    *(replace(shift, in_mean=not shift.name.startswith("elastic_transform")) for shift in CORRUPTED),
    name="cityscapes-c-live",
    title="Cityscapes, corrupted on the fly",
    protocol=(
        f"{_streets.ID}; 15 corruptions at 5 severities made live on them at 2048x1024 with the constants of "
        "ImageNet-C, which were made for 224x224: most are milder here; label maps stay as they are, so that "
        f"elastic_transform, which moves what they label, stays out of the headline; {_streets.SCORED}; "
        f"{_streets.TRAINED}"
    ),
    layout=_streets.LAYOUT,
    made_with=frost,
)
SUITE = replace(SUITE, val=_val, shifts=(ID, *SUITE.shifts[1:]))
