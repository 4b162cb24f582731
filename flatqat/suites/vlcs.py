"""VLCS: Caltech101, LabelMe, SUN09 and VOC2007; one domain left out at a time."""

from flatqat.data.domains.sets import DomainSet
from flatqat.suites._domains import family

VLCS = DomainSet(
    title="VLCS",
    folders=("VLCS",),
    domains=(("caltech101", 1415), ("labelme", 2656), ("sun09", 3282), ("voc2007", 3376)),
    classes=5,
    names=("bird", "car", "chair", "dog", "person"),
)
SUITE = family(VLCS, name="vlcs")
