"""OfficeHome: art, clipart, product and real-world images; one domain left out at a time."""

from flatqat.data.domains.sets import DomainSet
from flatqat.suites._domains import family

OFFICEHOME = DomainSet(
    title="OfficeHome",
    folders=("office_home", "OfficeHomeDataset", "OfficeHomeDataset_10072016"),
    domains=(("art", 2427), ("clipart", 4365), ("product", 4439), ("real_world", 4357)),
    classes=65,
)
SUITE = family(OFFICEHOME, name="officehome")
