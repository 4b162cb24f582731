"""Suites of all domains of a dataset and their system noise: no domain is left out."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flatqat.data.domains.load import load
from flatqat.data.domains.sets import DomainSet
from flatqat.data.images.encoded import Decode
from flatqat.data.sysnoise import decoders
from flatqat.suite import Suite
from flatqat.suites import _sysnoise
from flatqat.suites._domains import family

if TYPE_CHECKING:
    from flatqat.data.tensors.image_data import ImageData

# Both sides are resized to the side of the crop, so nothing is left to round or to move.
NOISE = (*_sysnoise.all_names(("decoder", "resize", "color")), ("crop", "larger"))


def noisy(dataset: DomainSet, *, name: str, **recipe: int) -> Suite:
    """Return the suite `name`, with the recipes of the dataset's family, whose batches have the same size."""
    base = family(dataset, name=name, **recipe)
    split = partial(load, dataset=dataset, domains=dataset.targets, seed=0)

    def scored(root: Path | None, decode: Decode) -> "ImageData":
        return split(root, part="out", decode=decode)

    shifts = _sysnoise.on_disk(scored, NOISE)
    return replace(
        base,
        title=f"{dataset.title} under system noise",
        protocol=(
            f"all {len(dataset.domains)} domains, every one split 80/20 by seed 0 as in DomainBed; trained "
            "on 80%; ID: 20%, which also choose the step, by the mean top-1 over the domains; images resized "
            "to 224x224 (bilinear, antialiased, Pillow), no crop; the same images with one step made "
            f"otherwise: {_sysnoise.DECODER}; {_sysnoise.RESIZE}; {_sysnoise.COLOR}; crop: resized to "
            f"225x225, the first 224x224; {_sysnoise.MEAN}; random windows of 70 to 100% and flips, colour "
            "jitter 0.3 in floating point, 10% grey"
        ),
        train=partial(split, part="in"),
        val=shifts[0].build,
        shifts=shifts,
        made_with=decoders.found,
        targets=(),
        member=None,
    )
