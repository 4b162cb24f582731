"""Cityscapes under 15 corruptions made live: needs the clean images only."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flatqat.suites import _streets
from flatqat.suites._corruptions import frost, live, shifts

if TYPE_CHECKING:
    from flatqat.data.images.image_data import ImageData

MOVES = "elastic_transform"


def _corrupted(root: Path | None, *, corruption: str, severity: int) -> "ImageData":
    return live(_streets.scored(root), corruption=corruption, severity=severity, table="imagenet")


SUITE = _streets.suite(
    name="cityscapes-c-live",
    title="Cityscapes, corrupted live",
    protocol=(
        f"{_streets.ID}; 15 corruptions at 5 severities made live on them at 2048x1024 with the constants of "
        "ImageNet-C, which were made for 224x224: most are milder here; label maps stay as they are, so that "
        f"elastic_transform, which moves what they label, stays out of the headline; {_streets.SCORED}; "
        f"{_streets.TRAINED}"
    ),
    layout=f"in the data root, or the data root itself:\n{_streets.LAYOUT}",
    shifts=tuple(
        replace(shift, in_mean=not shift.name.startswith(MOVES))
        for shift in shifts(_streets.scored, _corrupted, extra=False)
    ),
    verify=_streets.verify_id,
    made_with=frost,
)
