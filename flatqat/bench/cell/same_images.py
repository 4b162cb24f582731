"""Whether the images on disk are those that a results folder was made from."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from flatqat import registry
from flatqat.bench.records.store import Store
from flatqat.errors import DataError
from flatqat.suite import Suite


def fingerprint_of(suite: Suite, root: Path | None) -> str:
    """Return eight hex digits of all labels, a few images of each set, and what else images are made with.

    Raises PluginError if the suite is a plugin whose code fails, DataError if shifts that should contain the
    same images differ in their number.
    """
    known: dict[tuple[int, int], str] = {}  # sets that differ in their transforms alone are decoded once
    with registry.blaming(registry.SUITES, suite.family, "sets of images"):
        sets = [suite.train(root), *(shift.build(root) for shift in suite.scored)]
        for data in sets:
            key = (id(data.fetch), id(data.labels))
            known[key] = known.get(key) or data.fingerprint()
    _check_counts(suite, [len(data) for data in sets[1:]])
    digests = [known[id(data.fetch), id(data.labels)] for data in sets]
    return hashlib.sha256("".join([*digests, suite.made_with()]).encode()).hexdigest()[:8]


def _check_counts(suite: Suite, counts: Sequence[int]) -> None:
    """Raise DataError if shifts of one `image_set`, which are paired by image, differ in their number."""
    first: dict[str, tuple[str, int]] = {}
    for shift, count in zip(suite.scored, counts, strict=True):
        name, expected = first.setdefault(shift.image_set, (shift.name, count))
        if count != expected:
            same = f"as many images in {shift.name} as in {name}, since both are of image set"
            fix = f"complete them, or give {shift.name} another image_set"
            raise DataError(
                f"suite {suite.name}: expected {same} {shift.image_set!r}, got {count} and {expected}; {fix}"
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
