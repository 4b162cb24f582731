"""The 1,000 classes of ImageNet in the order of every published model, by WordNet id.

Labels come from this table, never from the rank of a folder among those present, so a missing folder shifts
no label. The letters in `classes.txt` mark the classes of the 200-class datasets: `r` for ImageNet-R, `a` for
ImageNet-A. Imports the standard library only.

Source: Russakovsky et al. 2015 (ILSVRC 2012); Hendrycks et al. 2021 (arXiv 2006.16241, 1907.07174).
"""

from functools import lru_cache
from pathlib import Path

COUNT = 1000


@lru_cache(maxsize=1)
def wnids() -> tuple[str, ...]:
    """Return `n01440764` (tench) to `n15075141` (toilet tissue); the position of each is its label."""
    return tuple(line.split()[0] for line in _lines())


@lru_cache(maxsize=1)
def labels() -> dict[str, int]:
    """Return the label of each WordNet id."""
    return {wnid: label for label, wnid in enumerate(wnids())}


def subset(letter: str) -> tuple[int, ...]:
    """Return the labels of a dataset of fewer classes, ascending."""
    return tuple(label for label, line in enumerate(_lines()) if letter in line.partition(" ")[2])


@lru_cache(maxsize=1)
def _lines() -> list[str]:
    return Path(__file__).with_name("classes.txt").read_text(encoding="ascii").splitlines()
