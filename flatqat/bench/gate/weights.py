"""Which weights a cell evaluates, whatever else is in their file."""

import hashlib

from flatqat.bench.records.store import Store
from flatqat.bench.records.weights import digest_of_stored
from flatqat.spec import Record

DIGITS = 16


def weights_digest(record: Record, store: Store) -> str | None:
    """Return a digest of the weights that a cell evaluates, or None if they are not stored.

    They are those that training left. A cell that took no step, such as one of `ptq`, evaluates the weights
    that it starts from, and its calibration is a part of the evaluation. Raises StoreError on a damaged file.
    """
    cell, folder = record.cell, store.root / "weights"
    if not record.train.steps and cell.parent is None and cell.weights:
        return cell.weights_name(DIGITS)
    if not record.train.steps and cell.parent is not None:
        files = [folder / f"{cell.parent}.safetensors"]
    else:
        last = store.weights_path(cell, "last")
        files = [store.weights_path(cell), *([last] if last.is_file() else [])]
    if not all(file.is_file() for file in files):
        return None
    return hashlib.sha256(b"".join(map(digest_of_stored, files))).hexdigest()[:DIGITS]
