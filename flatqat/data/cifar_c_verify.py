"""Is CIFAR-10-C on disk whole and right, and does it belong to the clean images? Seconds, no torch."""

from functools import partial
from pathlib import Path

import numpy as np

from flatqat.data import cifar10_verify
from flatqat.data.cifar10 import open_split
from flatqat.data.cifar_c import EACH, check_order, clean_root, find, open_images, open_labels
from flatqat.data.corruptions.names import NAMES, SEVERITIES
from flatqat.data.findings import look
from flatqat.data.roots import data_root
from flatqat.errors import DataError
from flatqat.spec import Finding


def verify(root: Path | None) -> list[Finding]:
    """The clean images, the labels and their order, and the 19 files with their severities."""
    place = look(lambda: f"data root {data_root(root, 'CIFAR-10-C')}")
    if not place.ok:
        return [place]
    folder = look(lambda: f"CIFAR-10-C in {find(root)}")
    if not folder.ok:
        return [*cifar10_verify.verify(root), folder]
    return [*_clean_and_labels(root), folder, *_files(find(root))]


def _clean_and_labels(root: Path | None) -> list[Finding]:
    findings = [*cifar10_verify.verify(clean_root(root)), look(partial(_labels, find(root)))]
    if all(finding.ok for finding in findings):
        findings.append(look(partial(_order, root)))
    return findings


def _labels(folder: Path) -> str:
    open_labels(folder)
    return f"CIFAR-10-C labels: {EACH:,} for each of {len(SEVERITIES)} severities, 0 to 9"


def _order(root: Path | None) -> str:
    folder = find(root)
    check_order(folder, open_labels(folder), open_split(clean_root(root), "test").labels)
    return "CIFAR-10-C labels: those of the clean test images, in the same order"


def _files(folder: Path) -> list[Finding]:
    """One line for all files that are right, and one for each that is not."""
    files = [look(partial(_file, folder, name)) for name in NAMES]
    bad = [finding for finding in files if not finding.ok]
    right = f"CIFAR-10-C: {len(files) - len(bad)} of {len(files)} corruptions, {EACH:,} images a severity"
    return [Finding(ok=True, what=right), *bad] if len(bad) < len(files) else bad


def _file(folder: Path, name: str) -> str:
    images = open_images(folder, name)
    for severity in SEVERITIES:
        for row in (EACH * (severity - 1), EACH * severity - 1):
            if not np.any(images[row]):
                raise DataError(
                    f"{folder / name}.npy: expected images at severity {severity}, got zeros in row {row}; "
                    "the copy was cut off, download it again"
                )
    return name
