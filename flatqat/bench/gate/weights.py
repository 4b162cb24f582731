"""Which weights a cell evaluates, whatever else is in their file."""

import hashlib
import json
from pathlib import Path

from flatqat.bench.records.store import Store
from flatqat.errors import StoreError
from flatqat.spec import Record

BLOCK = 2**20
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
    return hashlib.sha256(b"".join(map(_digest, files))).hexdigest()[:DIGITS]


def _digest(path: Path) -> bytes:
    """Return the SHA-256 of the tensors of a safetensors file and their names, without its metadata."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            header = dict(json.loads(file.read(int.from_bytes(file.read(8), "little"))))
            if not header:
                raise ValueError("no header")
            tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
            digest.update(json.dumps(tensors, sort_keys=True).encode())
            while block := file.read(BLOCK):
                digest.update(block)
    except (OSError, ValueError, TypeError, RecursionError, MemoryError, OverflowError) as error:
        fix = "delete it and run the cell again"
        raise StoreError(f"{path}: expected stored weights, got a damaged file; {fix}") from error
    return digest.digest()
