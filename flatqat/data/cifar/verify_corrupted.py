"""Is CIFAR-10-C or CIFAR-100-C complete, and made from the clean images? Imports no torch."""

from functools import partial
from pathlib import Path

import numpy as np

from flatqat.data.cifar.corrupted import EACH, check_order, clean_root, find, open_images, open_labels
from flatqat.data.cifar.load import open_split
from flatqat.data.cifar.sets import Cifar
from flatqat.data.cifar.verify import verify
from flatqat.data.corruptions.names import NAMES, SEVERITIES
from flatqat.data.images.checks import run_check, run_checks, with_data_root
from flatqat.errors import DataError
from flatqat.finding import Finding


def verify_corrupted(cifar: Cifar, root: Path | None) -> list[Finding]:
    """Check the clean images, the labels and their order, and all severities of the 19 files."""
    return with_data_root(cifar.corrupted, partial(_verify, cifar), root)


def _verify(cifar: Cifar, root: Path | None) -> list[Finding]:
    folder = run_check(lambda: f"{cifar.corrupted} in {find(cifar, root)}")
    if not folder.ok:
        return [*verify(cifar, root), folder]
    checks = [partial(_file, cifar, find(cifar, root), name) for name in NAMES]
    files = run_checks(checks, cifar.corrupted, f"{EACH:,} images for each severity")
    return [*_clean_and_labels(cifar, root), folder, *files]


def _clean_and_labels(cifar: Cifar, root: Path | None) -> list[Finding]:
    clean = verify(cifar, clean_root(cifar, root))
    findings = [*clean, run_check(partial(_labels, cifar, find(cifar, root)))]
    if all(finding.ok for finding in findings):
        findings.append(run_check(partial(_order, cifar, root)))
    return findings


def _labels(cifar: Cifar, folder: Path) -> str:
    open_labels(cifar, folder)
    return f"{cifar.corrupted} labels: {EACH:,} for each of {len(SEVERITIES)} severities, 0 to {cifar.last}"


def _order(cifar: Cifar, root: Path | None) -> str:
    folder = find(cifar, root)
    clean = open_split(cifar, clean_root(cifar, root), "test")
    check_order(cifar, folder, open_labels(cifar, folder), clean.labels)
    return f"{cifar.corrupted} labels: those of the clean test images, in the same order"


def _file(cifar: Cifar, folder: Path, name: str) -> str:
    images = open_images(cifar, folder, name)
    for severity in SEVERITIES:
        for row in (EACH * (severity - 1), EACH * severity - 1):
            if not np.any(images[row]):
                raise DataError(
                    f"{folder / name}.npy: expected images at severity {severity}, got zeros in row {row}; "
                    "the copy was cut off, download it again"
                )
    return name
