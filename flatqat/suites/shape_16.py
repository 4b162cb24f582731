"""ImageNet, and drawings and silhouettes of sixteen everyday classes, which have a shape and no texture."""

from functools import partial
from pathlib import Path

from flatqat.data.imagenet import clean, natural
from flatqat.data.imagenet.names import EDGES, SILHOUETTES
from flatqat.data.imagenet.sixteen import GROUPS, NAMES
from flatqat.data.imagenet.verify_sets import verify_natural
from flatqat.finding import Finding
from flatqat.suite import Shift
from flatqat.suites import _imagenet

SETS = {"edges": EDGES, "silhouettes": SILHOUETTES}


def _verify(root: Path | None) -> list[Finding]:
    return verify_natural(root, *SETS.values())


SUITE = _imagenet.suite(
    name="shape-16",
    title="ImageNet, edge drawings and silhouettes of 16 classes",
    protocol=(
        f"{_imagenet.AS_ASKED}; 160 edge drawings and 160 filled silhouettes, 10 of each of 16 classes; "
        "id: the 10,350 of the 50,000 validation images that show them; each class is a group of ImageNet's "
        "classes (207 in all) by WordNet, and its probability is the mean of theirs, scaled so that all 16 "
        "add up to 1; training, calibration, val and flatness are about all 1,000 classes; "
        f"{_imagenet.TRAINED}"
    ),
    layout=(
        f"both sets in the data root, in a folder for each of {', '.join(NAMES)}:\n  {EDGES.layout}\n"
        f"  {SILHOUETTES.layout}\nand {_imagenet.LAYOUT}"
    ),
    shifts=(
        Shift(name="id", family="id", build=partial(clean.scored_in_groups, groups=GROUPS), groups=GROUPS),
        *(
            Shift(
                name=name,
                family=name,
                build=partial(natural.shifted, dataset=dataset),
                image_set=name,
                groups=GROUPS,
            )
            for name, dataset in SETS.items()
        ),
    ),
    verify=_verify,
)
