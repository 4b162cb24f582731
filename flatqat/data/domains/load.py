"""Domain generalization datasets as images, split as DomainBed splits them.

Each domain's images, in the order of ImageFolder, are shuffled by numpy's RandomState(h(seed, number)) and
cut: the first int(0.2 n) are its out-split, the rest its in-split. `number` counts the sorted domains from 0,
the seed is that of the trial, and h the MD5 sum of the arguments' text modulo 2^31. Source: Gulrajani &
Lopez-Paz 2021 (arXiv 2007.01434) and their code, `scripts/train.py` and `lib/misc.py`.
"""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flatqat.data.domains.sets import DomainSet, Part, read
from flatqat.data.images.encoded import Decode, to_rgb

if TYPE_CHECKING:
    from flatqat.data.tensors.image_data import ImageData

HOLDOUT = 0.2


def load(
    root: Path | None,
    dataset: DomainSet,
    *,
    domains: tuple[str, ...],
    part: Part,
    seed: int,
    decode: Decode = to_rgb,
) -> "ImageData":
    """Load the in- or out-splits of some domains, one after the other, grouped by domain.

    Labels are the numbers of the sorted classes, groups those of the sorted domains, and ids count the images
    of the whole dataset. File listings are kept in memory. `image_files` explains `decode`.
    """
    import torch

    from flatqat.data.tensors.image_files import image_files

    paths: list[str] = []
    labels, ids, groups = [], [], []
    first = 0
    for number, (name, files) in enumerate(_listing(root, dataset)):
        if name in domains:
            index = split(len(files), seed, number)[part]
            paths += [files[index][0] for index in index.tolist()]
            labels += [files[index][1] for index in index.tolist()]
            ids.append(first + index)
            groups.append(np.full(len(index), number))
        first += len(files)
    each_id, group = (torch.from_numpy(np.concatenate(parts)) for parts in (ids, groups))
    title, classes = dataset.title, dataset.classes
    return image_files(
        paths, torch.tensor(labels), each_id, classes=classes, source=title, groups=group, decode=decode
    )


def split(n: int, seed: int, number: int) -> dict[Part, NDArray[np.int64]]:
    """Return positions of the in- and out-split of domain `number`, which has n images, as DomainBed does."""
    order = np.arange(n)
    np.random.RandomState(seed_hash(seed, number)).shuffle(order)
    held_out = int(n * HOLDOUT)
    return {"in": order[held_out:], "out": order[:held_out]}


def seed_hash(*args: int) -> int:
    """Return a 31-bit seed made from numbers: the MD5 sum of their tuple as Python writes it."""
    return int(hashlib.md5(str(args).encode()).hexdigest(), 16) % 2**31


@lru_cache(maxsize=2)
def _listing(root: Path | None, dataset: DomainSet) -> list[tuple[str, list[tuple[str, int]]]]:
    """Return name and files of every domain; kept, since each shift needs them, up to half a million."""
    return [(domain.name, domain.files()) for domain in read(root, dataset)]
