"""Cityscapes and ACDC: fog, night, rain and snow."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flatqat.data.streets.names import ACDC, CLASSES, CONDITIONS
from flatqat.finding import Finding
from flatqat.suite import Shift
from flatqat.suites import _streets

if TYPE_CHECKING:
    from flatqat.data.images.image_data import ImageData

REFERENCE = "reference"


def _load(root: Path | None, *, part: str) -> "ImageData":
    from flatqat.data.streets import acdc

    return acdc.load(root, part)


def _missing_shifts(root: Path | None) -> frozenset[str]:
    from flatqat.data.streets import acdc

    return frozenset({REFERENCE}) if acdc.lacks_reference(root) else frozenset()


def _verify(root: Path | None) -> list[Finding]:
    from flatqat.data.streets import acdc, verify

    conditions = [
        finding
        for name, count in CONDITIONS.items()
        for finding in verify.verify_part(
            partial(acdc.condition, root, name), count=count, classes=len(CLASSES)
        )
    ]
    reference = verify.verify_part(partial(acdc.reference, root), count=None, classes=len(CLASSES))
    if _missing_shifts(root):
        what = "ACDC: no labelled images in clear weather"
        mend = "without them there is no shift 'reference'"
        reference = [Finding(ok=False, partial=True, what=what, fix=mend)]
    return [*_streets.verify_id(root), *conditions, *reference]


SUITE = _streets.suite(
    name="cityscapes-acdc",
    title="Cityscapes and ACDC",
    protocol=(
        f"{_streets.ID}; fog, night, rain, snow: ACDC's labelled validation images, 100, 106, 100 and 100 of "
        "1920x1080; reference aside: its images of the same places in clear weather, which tell weather from "
        f"camera and city; {_streets.SCORED}; {_streets.TRAINED}"
    ),
    layout=(
        f"in the data root, or the data root itself:\n{_streets.LAYOUT}\n  {ACDC.layout}\n"
        "  acdc/{rgb_anon,gt}/<condition>/val_ref/...      may be missing\n"
        "  one of rgb_anon and gt may be flattened to val/"
    ),
    shifts=(
        Shift(name="id", family="id", build=_streets.scored),
        *(
            Shift(name=name, family=name, build=partial(_load, part=name), image_set=name)
            for name in CONDITIONS
        ),
        Shift(
            name=REFERENCE,
            family=REFERENCE,
            build=partial(_load, part=REFERENCE),
            image_set=REFERENCE,
            in_mean=False,
        ),
    ),
    verify=_verify,
    missing_shifts=_missing_shifts,
)
