"""The metadata of stored weights: the name of their file, and how they were trained."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from flatqat.bench.records.files import check_regular
from flatqat.bench.records.record_json import parse_json, read_as
from flatqat.errors import StoreError, Vanished
from flatqat.spec import TrainLog

FIX = "run the cell again with --rerun"
BLOCK = 2**20


def metadata_of(path: Path, log: Mapping[str, Any] | None = None, weights: str = "") -> dict[str, str]:
    """Return the metadata of weights that are stored at `path`.

    It has their name, and the training log or, without one, their digest.
    """
    if log is not None:
        return {"file": path.name, "train": json.dumps(log, allow_nan=False)}
    return {"file": path.name} | ({"weights": weights} if weights else {})


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
    """Return the digest of stored weights. Raises StoreError or Vanished as `check_weights` does."""
    with _opened(path) as file:
        return digest_of(file)


def check_weights(path: Path) -> dict[str, str]:
    """Return the metadata of stored weights.

    Raises StoreError if the file cannot be read, is damaged or was written under another name, Vanished if
    there is none.
    """
    from safetensors import safe_open

    check_regular(path, FIX)
    with _opened(path), safe_open(path, framework="np") as tensors:
        metadata: dict[str, str] = tensors.metadata() or {}
    if (name := metadata.get("file", path.name)) != path.name:  # older files do not name themselves
        raise StoreError(f"{path}: expected the weights that it is named after, got those of {name}; {FIX}")
    return metadata


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open stored weights. Raises Vanished or StoreError on what goes wrong, within the block, too."""
    try:
        with path.open("rb") as file:
            yield file
    except FileNotFoundError as error:
        raise Vanished(f"{path}: expected stored weights, found none; run again") from error
    except OSError as error:
        fix = "change its permissions, or restore it"
        raise StoreError(f"{path}: cannot be read: {error.strerror or error}; {fix}") from error
    except Exception as error:  # whatever json and safetensors make of damaged bytes
        raise StoreError(f"{path}: expected stored weights, got a damaged file; {FIX}") from error


def training_log(path: Path) -> TrainLog:
    """Return how stored weights were trained. Raises StoreError as `check_weights` does."""
    return _log(check_weights(path), path)


def _log(metadata: Mapping[str, str], path: Path) -> TrainLog:
    return read_as(TrainLog, parse_json(metadata.get("train", "").encode(), path, FIX), path, FIX)


def stated_digest(path: Path) -> str:
    """Return the digest of stored weights by their metadata; empty in older files.

    Raises StoreError and Vanished as `check_weights` does.
    """
    metadata = check_weights(path)
    return _log(metadata, path).weights if "train" in metadata else metadata.get("weights", "")


def check_content(path: Path, recorded: str = "") -> None:
    """Raise StoreError unless stored weights are what training stored, and have the digest `recorded` if any.

    Older files do not say what they were.
    """
    known = {stated_digest(path), recorded} - {""}
    if known and known != {got := digest_of_stored(path).hex()}:
        (expected, *_) = sorted(known - {got})
        raise StoreError(f"{path}: expected weights with the SHA-256 {expected}, got {got}; {FIX}")
