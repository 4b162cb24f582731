"""Is CIFAR-10 or CIFAR-100 on disk complete and correct? Takes seconds and imports no torch."""

from functools import partial
from pathlib import Path

import numpy as np

from flatqat.data.cifar.load import open_split
from flatqat.data.cifar.sets import COUNTS, SIDE, Cifar, Split
from flatqat.data.images.checks import run_check, with_data_root
from flatqat.data.images.encoded import EncodedImages
from flatqat.data.images.integrity import looks_whole
from flatqat.errors import DataError
from flatqat.finding import Finding

OVERLAP = 0.01  # of the test images; CIFAR-100 has at most 39, CIFAR-10 none (Barz & Denzler 2020)


def verify(cifar: Cifar, root: Path | None) -> list[Finding]:
    """Check counts, labels, balance, the ends of both files, and images that appear in both."""
    return with_data_root(cifar.name, partial(_verify, cifar), root)


def _verify(cifar: Cifar, root: Path | None) -> list[Finding]:
    findings: list[Finding] = []
    opened: dict[Split, EncodedImages] = {}
    for split in COUNTS:
        findings.append(run_check(partial(_open, cifar, root, split, opened)))
        if split in opened:
            findings += [
                run_check(partial(check, cifar, split, opened[split])) for check in (_balance, _images)
            ]
    if all(finding.ok for finding in findings):
        findings.append(run_check(partial(_overlap, cifar, opened["train"], opened["test"])))
    return findings


def _open(cifar: Cifar, root: Path | None, split: Split, opened: dict[Split, EncodedImages]) -> str:
    stored = opened[split] = open_split(cifar, root, split)
    return f"{cifar.name} {split}: {len(stored):,} images, labels 0 to {cifar.last}, in {stored.source}"


def _balance(cifar: Cifar, split: Split, stored: EncodedImages) -> str:
    each = len(stored) // len(cifar.classes)
    counts = np.bincount(stored.labels, minlength=len(cifar.classes))
    if (counts != each).any():
        wrong = int((counts != each).argmax())
        expected = f"{each} {split} images of each class"
        got = f"{counts[wrong]} of class {wrong} ({cifar.classes[wrong]})"
        raise DataError(
            f"{stored.source}: expected {expected}, got {got}; use a copy with the original labels"
        )
    return f"{cifar.name} {split}: {each:,} images of each class"


def _images(cifar: Cifar, split: Split, stored: EncodedImages) -> str:
    for index in range(len(stored)):
        if index in (0, len(stored) - 1) or not looks_whole(stored.content(index), SIDE):
            stored.image(index, SIDE)
    return f"{cifar.name} {split}: all images are whole, {SIDE}x{SIDE}"


def _overlap(cifar: Cifar, train: EncodedImages, test: EncodedImages) -> str:
    hashes = {hash(train.content(index)) for index in range(len(train))}
    shared = sum(hash(test.content(index)) in hashes for index in range(len(test)))
    if shared > OVERLAP * len(test):
        expected = f"test images that are not in {train.source}"
        raise DataError(f"{test.source}: expected {expected}, got {shared} that are; use the original split")
    return f"{cifar.name}: {shared} test images are also training images, byte for byte"
