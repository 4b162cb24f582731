"""Cityscapes and ACDC: fog, night, rain and snow."""

from functools import partial
from pathlib import Path

from flatqat.data.streets import acdc
from flatqat.data.streets.names import ACDC, CLASSES, CONDITIONS
from flatqat.data.streets.verify import verify_part
from flatqat.finding import Finding
from flatqat.suites import _streets
from flatqat.suites._shifts import own_images

REFERENCE = "reference"


def _missing_shifts(root: Path | None) -> frozenset[str]:
    return frozenset({REFERENCE}) if acdc.lacks_reference(root) else frozenset()


def _verify(root: Path | None) -> list[Finding]:
    conditions = [
        finding
        for name, count in CONDITIONS.items()
        for finding in verify_part(partial(acdc.condition, root, name), count=count, classes=len(CLASSES))
    ]
    reference = verify_part(partial(acdc.reference, root), count=None, classes=len(CLASSES))
    if _missing_shifts(root):
        what = "ACDC: no labeled images in clear weather"
        fix = "without them there is no shift 'reference'"
        reference = [Finding(ok=False, partial=True, what=what, fix=fix)]
    return [*conditions, *reference]


SUITE = _streets.suite(
    *(own_images(name, partial(acdc.load, part=name)) for name in CONDITIONS),
    own_images(REFERENCE, partial(acdc.load, part=REFERENCE), in_mean=False),
    name="cityscapes-acdc",
    title="Cityscapes and ACDC",
    protocol=(
        f"{_streets.ID}; fog, night, rain, snow: ACDC's labelled validation images, 100, 106, 100 and 100 of "
        "1920x1080; reference aside: its images of the same places in clear weather, which tell weather from "
        f"camera and city; {_streets.SCORED}; {_streets.TRAINED}"
    ),
    layout=(
        f"{_streets.LAYOUT}\n  {ACDC.layout}\n"
        "  acdc/{rgb_anon,gt}/<condition>/val_ref/...      may be missing\n"
        "  one of rgb_anon and gt may be flattened to val/"
    ),
    verify=_verify,
    missing_shifts=_missing_shifts,
)
