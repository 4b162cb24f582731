"""What killed runs left in a results folder: half-written files, and work that records have taken over."""

import shutil
from contextlib import suppress
from pathlib import Path
from time import time

from flatqat.bench.records.files import TEMPORARY, is_own, write_atomically
from flatqat.bench.records.owners import has_ended
from flatqat.bench.records.record_json import read_as, read_json, read_record, to_json
from flatqat.errors import StoreError, Vanished
from flatqat.spec import Flatness

STALE = 24 * 3600.0  # seconds; a file that is older than that is not being written
ID_LENGTH = 12
MEASURED, WEIGHTS = "flatness.json", "weights"


def clean(root: Path) -> None:
    """Remove what was left, for a run that takes part alone. What may still be needed stays."""
    with suppress(OSError):
        for path in root.rglob(TEMPORARY):
            if path.is_file() and _is_abandoned(path):
                path.unlink(missing_ok=True)
        records = {path.stem[-ID_LENGTH:]: path for path in root.glob("records/*/*.json")}
        for folder in root.glob(".work/*-*"):
            with suppress(KeyError, StoreError):  # no record, or a damaged one
                if _has_all(records[folder.name[:ID_LENGTH]], folder):
                    shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(path: Path) -> bool:
    """Whether the process of a temporary file has ended; that of another machine ends within a day."""
    return has_ended(path.name.split(".")[1]) or path.stat().st_mtime < time() - STALE


def _has_all(record_path: Path, folder: Path) -> bool:
    """Whether a finished record has what the folder of its work has: its own outcomes, and this flatness."""
    record, (measured, _) = read_record(record_path), read_measured(folder)
    finished = record.status == "done" and is_own(record_path.with_suffix(".npz"), record.outcomes_sha256)
    return finished and record.flatness.updated(measured) == record.flatness


def write_measured(folder: Path, flatness: Flatness, weights: str) -> None:
    """Store flatness in a folder of work, with the digest of the weights that it is of."""
    write_atomically(folder / MEASURED, to_json({WEIGHTS: weights, **flatness.to_dict()}))


def read_measured(folder: Path) -> tuple[Flatness, str]:
    """Return what `write_measured` stored; no flatness where it stored none.

    Raises StoreError on a damaged file.
    """
    path = folder / MEASURED
    try:
        data = read_json(path)
    except Vanished:
        return Flatness(), ""
    weights = str(data.pop(WEIGHTS, ""))
    return read_as(Flatness, data, path), weights
