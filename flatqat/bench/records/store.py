"""The results folder: one small JSON record a cell, its per-image outcomes, and work in progress.

    RESULTS/records/<suite>/<label>.json   the record; its existence is the cell's completion
    RESULTS/records/<suite>/<label>.npz    of every image of every shift: class and margin, or confusion
    RESULTS/data/<suite>.json              fingerprint of the data that all of this was made from
    RESULTS/weights/<id>.safetensors       trained weights by training id, the training log in their metadata
    RESULTS/weights/<id>.last.safetensors  the weights of the last step, where those of another were selected
    RESULTS/.work/<id>/                    scores of finished shifts and flatness, until the record is written

Every file is written once, atomically: to a temporary file in the same folder, flushed, synced, renamed.
"""

import io
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from flatqat.bench.records.record_json import read_json, read_record, record_to_dict, to_json
from flatqat.errors import StoreError
from flatqat.spec import Cell, Record, Score
from flatqat.suite import Suite

MOST_LISTED = 12
Arrays = dict[str, np.ndarray[Any, Any]]


def write_atomically(path: Path, data: bytes) -> None:
    """Replace `path` by `data` in one step: readers see the old file or the new one, never a part."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror or error}; nothing was changed there"
        ) from error


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_atomically(path, buffer.getvalue())


def read_arrays(path: Path, names: Collection[str] | None = None) -> Arrays:
    """The arrays of an npz file, or those alone that are called `names` behind their colon; never executes
    pickles. Raises StoreError."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            wanted = (key for key in arrays.files if names is None or key.rpartition(":")[2] in names)
            return {key: arrays[key] for key in wanted}
    except Exception as error:  # whatever zip, zlib or numpy make of damaged bytes
        raise StoreError(
            f"{path}: expected stored arrays, got a damaged file ({type(error).__name__}); "
            "delete it and run the cell again"
        ) from error


class Store:
    """One results folder. Reading never creates it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def check_writable(self) -> None:
        """Raise StoreError now rather than after hours of training."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.root).close()
        except OSError as error:
            raise StoreError(
                f"results folder {self.root}: expected a folder that can be written, got: {error.strerror}; "
                "choose another with --results"
            ) from error

    def data(self, suite: Suite) -> str | None:
        """The fingerprint of the data that a suite's results here were made from, or None."""
        path = self._data_path(suite)
        return str(read_json(path)["fingerprint"]) if path.exists() else None

    def data_parts(self, suite: Suite) -> list[str]:
        """What of that data was there only in part, in words."""
        path = self._data_path(suite)
        return list(read_json(path).get("in_part", [])) if path.exists() else []

    def write_data(self, suite: Suite, fingerprint: str, in_part: list[str]) -> None:
        found = {"fingerprint": fingerprint, **({"in_part": in_part} if in_part else {})}
        write_atomically(self._data_path(suite), to_json(found))

    def _data_path(self, suite: Suite) -> Path:
        return self.root / "data" / f"{suite.key}.json"

    # Records

    def record_path(self, cell: Cell) -> Path:
        return self.root / "records" / cell.suite / f"{cell.label}.json"

    def outcomes_path(self, cell: Cell) -> Path:
        return self.record_path(cell).with_suffix(".npz")

    def record(self, cell: Cell) -> Record | None:
        """The record of a cell, or None."""
        path = self.record_path(cell)
        return read_record(path) if path.exists() else None

    def records(self, suite: str | None = None) -> list[Record]:
        """Every record, or those of a suite or family, sorted by path. Raises StoreError on a damaged one."""
        found = sorted(self.root.glob("records/*/*.json"))
        if suite is not None:
            found = [p for p in found if suite in (p.parent.name, p.parent.name.partition("@")[0])]
        return [read_record(path) for path in found]

    def find(self, name: str) -> Record:
        """The one record whose id or label begins with `name`. Raises StoreError on none, on several, and
        where the one is not finished."""
        found = [r for r in self.records() if r.cell.id.startswith(name) or r.cell.label.startswith(name)]
        if len(found) == 1:
            (record,) = found
            if record.status != "done":
                raise StoreError(
                    f"cell {record.cell.label}: expected a finished one, got {record.status}: "
                    f"{record.reason}; name another, or run it again"
                )
            return record
        what = f"{len(found)} of them" if found else "none"
        labels = [r.cell.label for r in found or self.records()]
        labels = labels[:MOST_LISTED] + ["..."] * (len(labels) > MOST_LISTED)
        raise StoreError(
            f"cell {name!r}: expected the beginning of one stored id or label in {self.root}, "
            f"got {what}; there are: {', '.join(labels) or '(no records)'}"
        )

    def finished(self, cell: Cell) -> Record | None:
        """The record of a cell where it is done and its outcomes are there, else None."""
        record = self.record(cell)
        whole = record is not None and record.status == "done" and self.outcomes_path(cell).exists()
        return record if whole else None

    def write_record(
        self, record: Record, outcomes: Mapping[str, np.ndarray[Any, Any]] | None = None
    ) -> None:
        """Outcomes first, then the record, whose existence says that all of it is there."""
        if outcomes is not None:
            write_arrays(self.outcomes_path(record.cell), outcomes)
        write_atomically(self.record_path(record.cell), to_json(record_to_dict(record)))
        shutil.rmtree(self._work(record.cell), ignore_errors=True)
        with suppress(OSError):  # other cells may still be at work
            (self.root / ".work").rmdir()

    def outcomes(self, cell: Cell, names: Collection[str] | None = None) -> Arrays:
        """`<shift>:<name>` for every shift and what its task keeps, or those of `names` alone; empty where
        none are stored."""
        path = self.outcomes_path(cell)
        return read_arrays(path, names) if path.exists() else {}

    # Work in progress

    def weights_path(self, cell: Cell, which: str = "selected") -> Path:
        """Of the weights to use; `last` for those of the last step, kept where another step was selected."""
        last = ".last" if which == "last" else ""
        return self.root / "weights" / f"{cell.training_id}{last}.safetensors"

    def has_weights(self, cell: Cell) -> bool:
        return self.weights_path(cell).exists()

    def has_scores(self, cell: Cell, shift: str) -> bool:
        return self._scores_path(cell, shift).exists()

    def write_scores(self, cell: Cell, shift: str, scores: Mapping[str, Score], outcomes: Arrays) -> None:
        text = json.dumps({metric: asdict(score) for metric, score in scores.items()}, allow_nan=False)
        write_arrays(self._scores_path(cell, shift), {**outcomes, "scores": np.array(text)})

    def read_scores(self, cell: Cell, shift: str) -> tuple[dict[str, Score], Arrays]:
        arrays = read_arrays(self._scores_path(cell, shift))
        scores = json.loads(str(arrays.pop("scores")))
        return {metric: Score(**score) for metric, score in scores.items()}, arrays

    def write_flatness(self, cell: Cell, flatness: Mapping[str, Any]) -> None:
        write_atomically(self._work(cell) / "flatness.json", to_json(flatness))

    def flatness(self, cell: Cell, *, recorded: bool = True) -> dict[str, Any]:
        """What is known of a cell, by space: measured since, and in its record if that counts."""
        path, record = self._work(cell) / "flatness.json", self.record(cell) if recorded else None
        measured = read_json(path) if path.exists() else {}
        return {**(record.flatness if record else {}), **measured}

    def forget_work(self, cell: Cell) -> None:
        """Drop weights and partial scores, so that the cell is computed anew; its record stays."""
        shutil.rmtree(self._work(cell), ignore_errors=True)
        self.weights_path(cell).unlink(missing_ok=True)
        self.weights_path(cell, "last").unlink(missing_ok=True)

    def _work(self, cell: Cell) -> Path:
        return self.root / ".work" / cell.id

    def _scores_path(self, cell: Cell, shift: str) -> Path:
        return self._work(cell) / f"{shift.replace('/', '@')}.npz"
