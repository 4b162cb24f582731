"""TerraIncognita: four camera traps; one location left out at a time."""

from flatqat.data.domains.sets import DomainSet
from flatqat.suites._domains import family

TERRAINCOGNITA = DomainSet(
    title="TerraIncognita",
    folders=("terra_incognita",),
    domains=(("location_100", 4741), ("location_38", 9736), ("location_43", 3970), ("location_46", 5883)),
    classes=10,
    names=("bird", "bobcat", "cat", "coyote", "dog", "empty", "opossum", "rabbit", "raccoon", "squirrel"),
    totals=(24_788,),
)
SUITE = family(TERRAINCOGNITA, name="terraincognita")
