"""Are ImageNet's own images on disk complete and correct? Takes seconds and imports no torch."""

from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from flatqat.data.imagenet import classes
from flatqat.data.imagenet.clean import scored_images, train_images, untrainable_reason
from flatqat.data.imagenet.file_checks import check_complete, check_decodable
from flatqat.data.imagenet.files import Images
from flatqat.data.imagenet.names import EACH, TRAIN, VAL
from flatqat.data.images.checks import run_check
from flatqat.data.images.data_root import data_root
from flatqat.errors import listed
from flatqat.finding import Finding

MOST_FILES = 60_000  # files, which is all of every dataset but the largest
DECODED = 32


def verify(root: Path | None) -> list[Finding]:
    """Check the validation images, their labels, counts and files, and the optional training images."""
    return list(_verify(root))


@lru_cache(maxsize=4)  # many suites share these images
def _verify(root: Path | None) -> tuple[Finding, ...]:
    place = run_check(lambda: f"data root {data_root(root, 'ImageNet')}")
    if not place.ok:
        return (place,)
    found = run_check(lambda: f"ImageNet val in {scored_images(root).folder}")
    findings = [found]
    if found.ok:
        images = scored_images(root)
        findings += [
            counted("ImageNet val", images, VAL, tuple(range(classes.COUNT)), each=EACH),
            files("ImageNet val", images),
        ]
    return (*findings, *_train(root))


def counted(
    title: str, images: Images, total: int, among: tuple[int, ...], *, each: int | None = None
) -> Finding:
    """Check whether all images and classes are there; the finding is partial if some are missing.

    It is bad if there are too many images, in total or more than `each` of a class.
    """
    counts = np.bincount(images.labels, minlength=classes.COUNT)
    fullest = int(counts.argmax())
    wnids = classes.wnids()
    if each and counts[fullest] > each:
        return Finding(
            ok=False,
            what=f"{images.folder}: expected {each} images of each class, got {counts[fullest]} of "
            f"{wnids[fullest]}",
            fix=f"keep only those of {title}",
        )
    if len(images) > total:
        return Finding(
            ok=False,
            what=f"{images.folder}: expected {total:,} images of {title}, got {len(images):,}",
            fix="remove the files that are not in the original",
        )
    missing = [wnids[label] for label in among if not counts[label]]
    what = (
        f"{title}: {len(images):,} of {total:,} images, {len(among) - len(missing)} of {len(among)} classes"
    )
    if len(images) == total and not missing:
        return Finding(ok=True, what=what)
    lacks = f" (no {listed(missing)})" if missing else ""
    return Finding(
        ok=False,
        partial=True,
        what=what + lacks,
        fix="complete the copy before comparing its numbers with others",
    )


def files(title: str, images: Images) -> Finding:
    """Check whether files are complete, and a few of them decode."""

    def check() -> str:
        checked, decoded = check_complete(images, most=MOST_FILES), check_decodable(images, most=DECODED)
        return f"{title}: {checked:,} files end as images do, {decoded} of them decode"

    return run_check(check)


def _train(root: Path | None) -> list[Finding]:
    if reason := untrainable_reason(root):
        fix = "without them nothing is trained: methods that train are skipped"
        return [Finding(ok=False, partial=True, what=reason, fix=fix)]
    place = run_check(partial(_train_place, root))
    images = train_images(root) if place.ok else None
    if images is None:
        return [place]
    every = tuple(range(classes.COUNT))
    return [place, counted("ImageNet train", images, TRAIN, every), run_check(partial(_decode, images))]


def _train_place(root: Path | None) -> str:
    images = train_images(root)
    return f"ImageNet train in {images.folder if images else root}"


def _decode(images: Images) -> str:
    return f"ImageNet train: {check_decodable(images, most=DECODED)} images decode"
