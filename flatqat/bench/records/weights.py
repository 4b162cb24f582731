"""What stored weights say of themselves in their metadata: which file they are, and how they were trained."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from flatqat.bench.records.files import check_regular
from flatqat.bench.records.record_json import parse_json, read_as
from flatqat.errors import StoreError, Vanished
from flatqat.spec import TrainLog

FIX = "run the cell again with --rerun"
BLOCK = 2**20


def metadata_of(path: Path, log: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Return the metadata of weights that are stored at `path`: their name, and the training log if any."""
    return {"file": path.name} | ({"train": json.dumps(log, allow_nan=False)} if log is not None else {})


def digest_of(file: BinaryIO) -> bytes:
    """Return the SHA-256 of the tensors in safetensors bytes and of their names, without the metadata.

    Raises ValueError, or another error, if these are damaged.
    """
    digest = hashlib.sha256()
    header = dict(json.loads(file.read(int.from_bytes(file.read(8), "little"))))
    if not header:
        raise ValueError("no header")
    tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
    digest.update(json.dumps(tensors, sort_keys=True).encode())
    while block := file.read(BLOCK):
        digest.update(block)
    return digest.digest()


def digest_of_stored(path: Path) -> bytes:
    """Return the digest of stored weights. Raises StoreError if the file is damaged."""
    try:
        with path.open("rb") as file:
            return digest_of(file)
    except (OSError, ValueError, TypeError, RecursionError, MemoryError, OverflowError) as error:
        raise StoreError(f"{path}: expected stored weights, got a damaged file; {FIX}") from error


def check_weights(path: Path) -> dict[str, str]:
    """Return the metadata of stored weights.

    Raises StoreError if the file is damaged or was written under another name, Vanished if there is none.
    """
    from safetensors import safe_open

    check_regular(path, FIX)
    try:
        with safe_open(path, framework="np") as file:
            metadata: dict[str, str] = file.metadata() or {}
    except FileNotFoundError as error:
        raise Vanished(f"{path}: expected stored weights, found none; run again") from error
    except Exception as error:  # whatever safetensors makes of damaged bytes
        raise StoreError(f"{path}: expected stored weights, got a damaged file; {FIX}") from error
    if (name := metadata.get("file", path.name)) != path.name:  # older files do not name themselves
        raise StoreError(f"{path}: expected the weights that it is named after, got those of {name}; {FIX}")
    return metadata


def training_log(path: Path) -> TrainLog:
    """Return how stored weights were trained. Raises StoreError as `check_weights` does."""
    text = check_weights(path).get("train", "")
    return read_as(TrainLog, parse_json(text.encode(), path, FIX), path, FIX)
