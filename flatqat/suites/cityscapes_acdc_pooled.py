"""Cityscapes and ACDC with all conditions pooled, for copies flattened to rgb_anon/val."""

from functools import partial
from pathlib import Path

from flatqat.data.streets import acdc, cityscapes
from flatqat.data.streets.names import ACDC, CLASSES, CONDITIONS
from flatqat.data.streets.verify import verify_part
from flatqat.finding import Finding
from flatqat.suite import Shift
from flatqat.suites import _streets

ADVERSE = "adverse"


def _verify(root: Path | None) -> list[Finding]:
    pooled = verify_part(partial(acdc.adverse, root), count=sum(CONDITIONS.values()), classes=len(CLASSES))
    return [*_streets.verify_id(root), *pooled]


SUITE = _streets.suite(
    name="cityscapes-acdc-pooled",
    title="Cityscapes and ACDC, all conditions pooled",
    protocol=(
        f"{_streets.ID}; adverse: ACDC's 406 labelled validation images of fog, night, rain and snow, one "
        f"confusion matrix; {_streets.SCORED}; {_streets.TRAINED}"
    ),
    layout=(
        f"in the data root, or the data root itself:\n{_streets.LAYOUT}\n  {ACDC.layout}\n"
        "  or flattened: acdc/{rgb_anon,gt}/val/..."
    ),
    shifts=(
        Shift(name="id", family="id", build=cityscapes.scored),
        Shift(name=ADVERSE, family=ADVERSE, build=partial(acdc.load, part=ADVERSE), image_set=ADVERSE),
    ),
    verify=_verify,
)
