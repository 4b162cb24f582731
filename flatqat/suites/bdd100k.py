"""Cityscapes and BDD100K: other cities, cameras, weather and times of day."""

from flatqat.data.streets.names import BDD100K
from flatqat.suites._streets import of_one_set

SUITE = of_one_set(
    BDD100K,
    "val",
    name="bdd100k",
    shift="bdd100k",
    about="bdd100k: the 1,000 labelled validation images of BDD100K, 1280x720",
)
