"""What stored weights say of themselves in their metadata: which file they are, and how they were trained."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flatqat.bench.records.files import check_regular
from flatqat.bench.records.record_json import parse_json, read_as
from flatqat.errors import StoreError, Vanished
from flatqat.spec import TrainLog

if TYPE_CHECKING:
    from torch import Tensor

FIX = "delete it and run again"
DIGITS = 16


def metadata_of(path: Path, log: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Return the metadata of weights that are stored at `path`: their name, and the training log if any."""
    return {"file": path.name} | ({"train": json.dumps(log, allow_nan=False)} if log is not None else {})


def digest_of(weights: "Mapping[str, Tensor]") -> str:
    """Return a digest of names, shapes, types and bytes of some weights."""
    from torch import uint8

    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(uint8).numpy().data)
    return digest.hexdigest()[:DIGITS]


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
