"""Cityscapes and ACDC with all conditions pooled, for copies flattened to rgb_anon/val."""

from functools import partial
from pathlib import Path

from flatqat.data.streets import acdc
from flatqat.data.streets.names import ACDC, CLASSES, CONDITIONS
from flatqat.data.streets.verify import verify_part
from flatqat.finding import Finding
from flatqat.suites import _streets
from flatqat.suites._shifts import own_images

ADVERSE = "adverse"


def _verify(root: Path | None) -> list[Finding]:
    return verify_part(partial(acdc.adverse, root), count=sum(CONDITIONS.values()), classes=len(CLASSES))


SUITE = _streets.suite(
    own_images(ADVERSE, partial(acdc.load, part=ADVERSE)),
    name="cityscapes-acdc-pooled",
    title="Cityscapes and ACDC, all conditions pooled",
    protocol=(
        f"{_streets.ID}; adverse: ACDC's 406 labelled validation images of fog, night, rain and snow, one "
        f"confusion matrix; {_streets.SCORED}; {_streets.TRAINED}"
    ),
    layout=f"{_streets.LAYOUT}\n  {ACDC.layout}\n  or flattened: acdc/{{rgb_anon,gt}}/val/...",
    verify=_verify,
)
