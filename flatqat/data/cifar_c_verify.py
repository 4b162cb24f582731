"""Is CIFAR-10-C on disk whole and right, and does it belong to the clean images? Seconds, no torch."""

from pathlib import Path

import numpy as np

from flatqat.data import cifar10_verify
from flatqat.data.cifar10 import open_split
from flatqat.data.cifar_c import EACH, check_order, clean_root, find, open_images, open_labels
from flatqat.data.corruptions.names import NAMES, SEVERITIES
from flatqat.data.findings import look
from flatqat.errors import DataError
from flatqat.spec import Finding


def verify(root: Path | None) -> list[Finding]:
    """The clean images, the labels and their order, and the 19 files with their severities."""
    folder = look(lambda: f"CIFAR-10-C in {find(root)}")
    if not folder.ok:
        return [*cifar10_verify.verify(root), folder]
    clean = cifar10_verify.verify(clean_root(root))
    files = [look(lambda name=name: _file(find(root), name)) for name in NAMES]  # type: ignore[misc]
    bad = [finding for finding in files if not finding.ok]
    whole = f"CIFAR-10-C: {len(files) - len(bad)} of {len(NAMES)} files with {EACH:,} images a severity"
    labels = look(lambda: _labels(find(root)))
    order = look(lambda: _order(root)) if labels.ok and all(finding.ok for finding in clean) else None
    return [
        *clean,
        folder,
        labels,
        *([order] if order else []),
        *([Finding(ok=True, what=whole)] if len(bad) < len(files) else []),
        *bad,
    ]


def _labels(folder: Path) -> str:
    open_labels(folder)
    return f"CIFAR-10-C labels: {EACH:,} for each of {len(SEVERITIES)} severities, 0 to 9"


def _order(root: Path | None) -> str:
    folder = find(root)
    check_order(folder, open_labels(folder), open_split(clean_root(root), "test").labels)
    return "CIFAR-10-C labels: those of the clean test images, in the same order"


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
