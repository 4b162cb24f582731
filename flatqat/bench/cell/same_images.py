"""Whether images are the same: of a results folder and on disk, and of shifts that say so."""

import hashlib
from pathlib import Path

import torch

from flatqat.bench.records.store import Store
from flatqat.errors import DataError
from flatqat.suite import Shift, Suite


def fingerprint_of(suite: Suite, root: Path | None) -> str:
    """Return eight hex digits of all labels, a few images of each set, and what else images are made with."""
    sets = [suite.train(root), *(shift.build(root) for shift in suite.scored)]
    known: dict[tuple[int, int], str] = {}  # sets that differ in their transforms alone are decoded once
    for data in sets:
        key = (id(data.fetch), id(data.labels))
        known[key] = known.get(key) or data.fingerprint()
    digests = [known[id(data.fetch), id(data.labels)] for data in sets]
    return hashlib.sha256("".join([*digests, suite.made_with()]).encode()).hexdigest()[:8]


def check_image_sets(suite: Suite, root: Path | None) -> None:
    """Raise DataError if shifts of one image set have other images, which would be compared in pairs."""
    first_of: dict[str, Shift] = {}
    for shift in suite.shifts:
        first = first_of.setdefault(shift.image_set, shift)
        if first is shift:
            continue
        known, data = first.build(root), shift.build(root)
        labels = [one.labels for one in (known, data) if one.labels is not None]
        if len(data) != len(known):
            got = f"{len(data):,} images for {len(known):,}"
        elif shift.groups == first.groups and len(labels) == 2 and not torch.equal(*labels):
            got = "other labels"
        else:
            continue
        expected = (
            f"expected the images of {first.name}, as of every shift with image_set={shift.image_set!r}"
        )
        raise DataError(
            f"suite {suite.name}: {shift.name}: {expected}, got {got}; name an image set of its own"
        )


def check_same_images(suite: Suite, root: Path | None, store: Store) -> str:
    """Return the fingerprint of a suite's images. Raises DataError if a used folder has another."""
    current, stored = fingerprint_of(suite, root), store.data(suite)
    if stored is not None and stored.fingerprint != current:
        raise DataError(
            f"suite {suite.name}: expected the images that {store.root} was made from "
            f"(fingerprint {stored.fingerprint}), got others ({current}); use another --results or "
            "--data-root"
        )
    return current
