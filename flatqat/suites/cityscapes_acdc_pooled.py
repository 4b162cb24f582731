"""Cityscapes and ACDC with its conditions together, for copies that were flattened to rgb_anon/val."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flatqat.data.streets.names import ACDC, CLASSES, CONDITIONS
from flatqat.finding import Finding
from flatqat.suite import Shift
from flatqat.suites import _streets

if TYPE_CHECKING:
    from flatqat.data.images.image_data import ImageData

ADVERSE = "adverse"


def _load(root: Path | None) -> "ImageData":
    from flatqat.data.streets import acdc

    return acdc.load(root, ADVERSE)


def _verify(root: Path | None) -> list[Finding]:
    from flatqat.data.streets import acdc, verify

    together = verify.verify_part(
        partial(acdc.adverse, root), count=sum(CONDITIONS.values()), classes=len(CLASSES)
    )
    return [*_streets.verify_id(root), *together]


SUITE = _streets.suite(
    name="cityscapes-acdc-pooled",
    title="Cityscapes and ACDC, all conditions together",
    protocol=(
        f"{_streets.ID}; adverse: ACDC's 406 labelled validation images of fog, night, rain and snow, one "
        f"confusion matrix; {_streets.SCORED}; {_streets.TRAINED}"
    ),
    layout=(
        f"in the data root, or the data root itself:\n{_streets.LAYOUT}\n  {ACDC.layout}\n"
        "  or flattened: acdc/{rgb_anon,gt}/val/..."
    ),
    shifts=(
        Shift(name="id", family="id", build=_streets.scored),
        Shift(name=ADVERSE, family=ADVERSE, build=_load, image_set=ADVERSE),
    ),
    verify=_verify,
)
