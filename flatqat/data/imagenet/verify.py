"""Are ImageNet's own images on disk whole and right? Seconds, no torch."""

from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from flatqat.data.imagenet import classes
from flatqat.data.imagenet.clean import scored_images, train_images, untrainable_reason
from flatqat.data.imagenet.files import SHOWN, Images
from flatqat.data.imagenet.names import EACH, TRAIN, VAL
from flatqat.data.imagenet.whole import check_decode, check_whole
from flatqat.data.images.checks import look
from flatqat.data.images.data_root import data_root
from flatqat.finding import Finding

MOST_WHOLE = 60_000  # files: every one of every set but the largest
DECODED = 32


def verify(root: Path | None) -> list[Finding]:
    """The validation images, their labels, counts and files; the training images, which may be missing."""
    return list(_verify(root))


@lru_cache(maxsize=4)  # many suites share these images
def _verify(root: Path | None) -> tuple[Finding, ...]:
    place = look(lambda: f"data root {data_root(root, 'ImageNet')}")
    if not place.ok:
        return (place,)
    found = look(lambda: f"ImageNet val in {scored_images(root).folder}")
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
    """Whether all images and classes are there; partial where some are missing.

    Wrong where there are too many: of all, or more than `each` of a class.
    """
    counts = np.bincount(images.labels, minlength=classes.COUNT)
    fullest = int(counts.argmax())
    wnids = classes.wnids()
    if each and counts[fullest] > each:
        return Finding(
            ok=False,
            what=f"{images.folder}: expected {each} images of each class, got {counts[fullest]} of "
            f"{wnids[fullest]}",
            fix=f"keep those of {title} alone",
        )
    if len(images) > total:
        return Finding(
            ok=False,
            what=f"{images.folder}: expected {total:,} images of {title}, got {len(images):,}",
            fix="remove what is not of the original",
        )
    missing = [wnids[label] for label in among if not counts[label]]
    what = (
        f"{title}: {len(images):,} of {total:,} images, {len(among) - len(missing)} of {len(among)} classes"
    )
    if len(images) == total and not missing:
        return Finding(ok=True, what=what)
    lacks = f" (no {', '.join(missing[:SHOWN])}{' ...' * (len(missing) > SHOWN)})" if missing else ""
    return Finding(
        ok=False,
        partial=True,
        what=what + lacks,
        fix="complete the copy before its numbers stand beside those of others",
    )


def files(title: str, images: Images) -> Finding:
    """Whether the files are whole, and a few of them decode."""

    def check() -> str:
        looked, decoded = check_whole(images, most=MOST_WHOLE), check_decode(images, most=DECODED)
        return f"{title}: {looked:,} files end as images do, {decoded} of them decode"

    return look(check)


def _train(root: Path | None) -> list[Finding]:
    if lacking := untrainable_reason(root):
        mend = "without them nothing is trained: methods that train are skipped"
        return [Finding(ok=False, partial=True, what=lacking, fix=mend)]
    found = look(partial(_train_place, root))
    images = train_images(root) if found.ok else None
    if images is None:
        return [found]
    every = tuple(range(classes.COUNT))
    return [found, counted("ImageNet train", images, TRAIN, every), look(partial(_decode, images))]


def _train_place(root: Path | None) -> str:
    images = train_images(root)
    return f"ImageNet train in {images.folder if images else root}"


def _decode(images: Images) -> str:
    return f"ImageNet train: {check_decode(images, most=DECODED)} images decode"
