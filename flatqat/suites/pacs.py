"""PACS: photos, art paintings, cartoons and sketches; one domain left out at a time."""

from flatqat.data.domains.sets import DomainSet
from flatqat.suites._domains import family

PACS = DomainSet(
    title="PACS",
    folders=("PACS",),
    domains=(("art_painting", 2048), ("cartoon", 2344), ("photo", 1670), ("sketch", 3929)),
    classes=7,
    names=("dog", "elephant", "giraffe", "guitar", "horse", "house", "person"),
    label_files="*_kfold.txt",
)
SUITE = family(PACS, name="pacs")
