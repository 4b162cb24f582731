"""The layout of cifar-10-batches-py and cifar-100-python: pickled dicts of raw pixels.

    data: uint8 (n, 3072), a plane of red, of green and of blue
    labels, or fine_labels and coarse_labels: lists of n integers

Source: Krizhevsky 2009, cs.toronto.edu/~kriz/cifar.html.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flatqat.data.cifar.closed_pickle import load
from flatqat.data.cifar.sets import SIDE
from flatqat.data.images.encoded import EncodedImages, Pixels
from flatqat.data.images.entries import has_file
from flatqat.errors import DataError


def read(files: list[Path], *, label: str) -> EncodedImages:
    """List the images of all files, with the labels under a key. Raises DataError if one is damaged."""
    batches = [_batch(file, label) for file in files]
    pixels = np.concatenate([data for data, _ in batches])
    rows = [(file, row) for file, (data, _) in zip(files, batches, strict=True) for row in range(len(data))]
    return EncodedImages(
        source=f"{files[0].parent}/{', '.join(file.name for file in files)}",
        labels=np.concatenate([labels for _, labels in batches]),
        content=lambda index: pixels[index].tobytes(),
        name=lambda index: f"{rows[index][0]}, row {rows[index][1]}",
        decode=_planes,
    )


def _batch(file: Path, label: str) -> tuple[Pixels, NDArray[np.int64]]:
    if not has_file(file):
        raise DataError(f"{file}: expected this batch, got no such file; unpack the whole archive")
    loaded = load(file)
    batch = loaded if isinstance(loaded, dict) else {}
    data, labels = batch.get("data"), batch.get(label)
    if not isinstance(data, np.ndarray) or data.ndim != 2 or data.shape[1] != 3 * SIDE**2:
        got = f"shape {data.shape}" if isinstance(data, np.ndarray) else "no array"
        raise DataError(f"{file}: expected 'data' of shape (n, {3 * SIDE**2}), got {got}; unpack it again")
    if label not in batch:
        got = ", ".join(sorted(str(key) for key in batch))
        raise DataError(
            f"{file}: expected {label!r} with {len(data)} integers, got {got}; this is another dataset"
        )
    if not isinstance(labels, list) or len(labels) != len(data) or not all(type(v) is int for v in labels):
        raise DataError(f"{file}: expected {label!r} with {len(data)} integers, got others; unpack it again")
    return data, np.array(labels, np.int64)


def _planes(content: bytes, _: str) -> Pixels:
    return np.frombuffer(content, np.uint8).reshape(3, SIDE, SIDE).transpose(1, 2, 0)
