"""Whether images are the same: of a results folder and on disk, and of shifts that say so."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch

from flatqat import registry
from flatqat.bench.records.store import Store
from flatqat.blame import blaming
from flatqat.data.tensors.image_data import ImageData
from flatqat.errors import DataError
from flatqat.suite import Shift, Suite


def fingerprint_of(suite: Suite, root: Path | None) -> str:
    """Return eight hex digits of all labels, a few images of each set, and what else images are made with.

    Raises PluginError if the suite is a plugin whose code fails, DataError as
    `check_image_sets` does.
    """
    known: dict[tuple[int, int], str] = {}  # sets that differ in their transforms alone are decoded once
    with blaming(registry.SUITES, suite.family, "sets of images"):
        sets = [suite.train(root), *(shift.build(root) for shift in suite.scored)]
        for data in sets:
            key = (id(data.fetch), id(data.labels))
            known[key] = known.get(key) or data.fingerprint()
    check_image_sets(suite, sets[1:])
    digests = [known[id(data.fetch), id(data.labels)] for data in sets]
    return hashlib.sha256("".join([*digests, suite.made_with()]).encode()).hexdigest()[:8]


def check_image_sets(suite: Suite, sets: Sequence[ImageData]) -> None:
    """Raise DataError if shifts of one image set have other images, which would be compared in pairs.

    So do ids that are not one for each image, where the seed draws the images. `sets` are those of the
    suite's scored shifts, in their order.
    """
    first_of: dict[str, tuple[Shift, ImageData]] = {}
    for shift, data in zip(suite.scored, sets, strict=True):
        if suite.split and (len(data.ids.unique()) < len(data) or int(data.ids.min()) < 0):
            expected = f"{shift.name}: expected ImageData.ids of 0 or more, another one for each image"
            raise DataError(f"suite {suite.name}: {expected}, got others; number images before the split")
        first, known = first_of.setdefault(shift.image_set, (shift, data))
        labels = [one.labels for one in (known, data) if one.labels is not None]
        if len(data) != len(known):
            got = f"{len(data):,} images for {len(known):,}"
        elif shift.groups == first.groups and len(labels) == 2 and not torch.equal(*labels):
            got = "other labels"
        else:
            continue
        same = f"expected the images of {first.name}, since both have image_set={shift.image_set!r}"
        fix = "complete them, or name an image set of their own"
        raise DataError(f"suite {suite.name}: {shift.name}: {same}, got {got}; {fix}")


def check_same_images(suite: Suite, root: Path | None, store: Store) -> str:
    """Return the fingerprint of a suite's images. Raises DataError if a used folder has another."""
    current = fingerprint_of(suite, root)
    check_fingerprint(suite, current, store)
    return current


def check_fingerprint(suite: Suite, current: str, store: Store) -> bool:
    """Return whether a results folder has the fingerprint of a suite. Raises DataError if it has another."""
    stored = store.data(suite)
    if stored is not None and stored.fingerprint != current:
        raise DataError(
            f"suite {suite.name}: expected the images that {store.root} was made from "
            f"(fingerprint {stored.fingerprint}), got others ({current}); use another --results or "
            "--data-root"
        )
    return stored is not None
