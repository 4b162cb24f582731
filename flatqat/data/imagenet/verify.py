"""Are ImageNet's own images on disk complete and correct? Takes seconds and imports no torch."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from flatqat.data.imagenet import classes
from flatqat.data.imagenet.clean import scored_images, train_images, untrainable_reason
from flatqat.data.imagenet.file_checks import check_complete, check_decodable
from flatqat.data.imagenet.files import Images
from flatqat.data.imagenet.names import EACH, TRAIN, VAL
from flatqat.data.images.checks import run_check, untrainable, with_data_root
from flatqat.errors import listed
from flatqat.finding import Finding

MOST_FILES = 60_000  # files, which is all of every dataset but the largest
DECODED = 32
ALL_CLASSES = range(classes.COUNT)


def verify(root: Path | None) -> list[Finding]:
    """Check the validation images, their labels, counts and files, and the optional training images."""
    return with_data_root("ImageNet", lambda given: list(_verify(given)), root)


@lru_cache(maxsize=4)  # many suites share these images
def _verify(root: Path | None) -> tuple[Finding, ...]:
    found = run_check(lambda: f"ImageNet val in {scored_images(root).folder}")
    findings = [found]
    if found.ok:
        images = scored_images(root)
        counts = counted("ImageNet val", images, VAL, each=EACH)
        findings += [counts, *doubts("ImageNet val", images), files("ImageNet val", images)]
    return (*findings, *_train(root))


def counted(
    title: str,
    images: Images,
    total: int,
    among: Sequence[int] = ALL_CLASSES,
    *,
    each: int | None = None,
    called: tuple[str, ...] = classes.wnids(),
) -> Finding:
    """Count images and classes: too few are a partial finding; too many, in all or of a class, a bad one.

    `called` are the classes of labels.
    """
    counts = np.bincount(images.labels, minlength=len(called))
    most = int(counts.argmax())
    if each and counts[most] > each:
        what = f"{images.folder}: expected {each} images of each class, got {counts[most]} of {called[most]}"
        return Finding(ok=False, what=what, fix=f"keep only those of {title}")
    if len(images) > total:
        what = f"{images.folder}: expected {total:,} images of {title}, got {len(images):,}"
        return Finding(ok=False, what=what, fix="remove the files that are not in the original")
    missing = [called[label] for label in among if not counts[label]]
    present = f"{len(among) - len(missing)} of {len(among)} classes"
    what = f"{title}: {len(images):,} of {total:,} images, {present}"
    if len(images) == total and not missing:
        return Finding(ok=True, what=what)
    what += f" (no {listed(missing)})" if missing else ""
    fix = "complete the copy before comparing its numbers with others"
    return Finding(ok=False, partial=True, what=what, fix=fix)


def doubts(title: str, images: Images) -> list[Finding]:
    """Return a partial finding if labels may count the classes in another order."""
    if not images.doubt:
        return []
    what = f"{title}: labels are taken as numbers in the order of WordNet ids, unproven ({images.doubt})"
    fix = "check a few by hand, or use the original names of files and folders, which prove it"
    return [Finding(ok=False, partial=True, what=what, fix=fix)]


def files(title: str, images: Images) -> Finding:
    """Check whether files are complete, and a few of them decode."""

    def check() -> str:
        checked, decoded = check_complete(images, most=MOST_FILES), check_decodable(images, most=DECODED)
        return f"{title}: {checked:,} files end as images do, {decoded} of them decode"

    return run_check(check)


def _train(root: Path | None) -> list[Finding]:
    if reason := untrainable_reason(root):
        return [untrainable(reason)]
    place = run_check(lambda: f"ImageNet train in {train_images(root).folder}")
    if not place.ok:
        return [place]
    images = train_images(root)
    decode = run_check(lambda: f"ImageNet train: {check_decodable(images, most=DECODED)} images decode")
    return [place, counted("ImageNet train", images, TRAIN), decode]
