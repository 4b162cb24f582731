"""Cityscapes and Nighttime Driving: roads around Zurich at night, labeled coarsely."""

from flatqat.data.streets.names import NIGHTTIME_DRIVING
from flatqat.suites._streets import of_one_set

SUITE = of_one_set(
    NIGHTTIME_DRIVING,
    "night",
    name="nighttime-driving",
    shift="night",
    about="night: the 50 test images of Nighttime Driving, 1920x1080, coarse labels",
)
