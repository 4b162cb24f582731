"""Cityscapes and Dark Zurich: Zurich at night."""

from flatqat.data.streets.names import DARK_ZURICH
from flatqat.suites._streets import of_one_set

SUITE = of_one_set(
    DARK_ZURICH,
    "night",
    name="dark-zurich",
    shift="night",
    about="night: the 50 labelled validation images of Dark Zurich, 1920x1080",
)
