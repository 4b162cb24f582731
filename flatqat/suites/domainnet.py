"""DomainNet: six domains of 345 classes; one domain left out at a time."""

from flatqat.data.domains.sets import DomainSet
from flatqat.suites._domains import family

DOMAINNET = DomainSet(
    title="DomainNet",
    folders=("domain_net",),
    domains=(
        ("clipart", 48_129), ("infograph", 51_605), ("painting", 72_266),
        ("quickdraw", 172_500), ("real", 172_947), ("sketch", 69_128),
    ),
    classes=345,
    surplus="duplicates, which DomainBed deletes by its list domain_net_duplicates.txt",
)  # fmt: skip
SUITE = family(DOMAINNET, name="domainnet", steps=15_001, select_every=1000)
