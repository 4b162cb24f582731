"""The results folder: a small JSON record of each cell, its per-image outcomes, and work in progress.

    RESULTS/records/<suite>/<label>.json   the record; its existence is the cell's completion
    RESULTS/records/<suite>/<label>.npz    for every image of every shift: class and margin, or confusion
    RESULTS/data/<suite>.json              fingerprint of the data that all results of a suite are made from
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
from pathlib import Path
from typing import Any

import numpy as np

from flatqat.bench.records.record_json import read_as, read_json, read_record, record_to_dict, to_json
from flatqat.errors import StoreError, listed
from flatqat.spec import Cell, Flatness, Record, Score, SuiteData
from flatqat.spec.reading import to_plain
from flatqat.suite import Suite

MOST_LISTED = 12
OTHER_FOLDER = "restore the file, or use another --results"
Arrays = dict[str, np.ndarray[Any, Any]]
SCORES: Any = Mapping[str, Score]


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file in one step, so that readers see the old one or the new one. Raises StoreError."""
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
        cause = error.strerror or error
        raise StoreError(f"cannot write {path}: {cause}; nothing was changed there") from error


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Write arrays as a compressed npz file, atomically. Raises StoreError."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_atomically(path, buffer.getvalue())


def read_arrays(path: Path, names: Collection[str] | None = None) -> Arrays:
    """Return the arrays of an npz file, or only those called `<shift>:<name>` with one of `names`.

    Never executes pickles. Raises StoreError on a damaged file.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            keys = (key for key in arrays.files if names is None or key.rpartition(":")[2] in names)
            return {key: arrays[key] for key in keys}
    except Exception as error:  # whatever zip, zlib or numpy make of damaged bytes
        got = f"a damaged file ({type(error).__name__}); delete it and run the cell again"
        raise StoreError(f"{path}: expected stored arrays, got {got}") from error


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
            expected = f"results folder {self.root}: expected a folder that can be written"
            raise StoreError(f"{expected}, got: {error.strerror}; choose another with --results") from error

    def data(self, suite: Suite) -> SuiteData | None:
        """Return what a suite's results are made from, or None if there are none yet."""
        path = self._data_path(suite)
        return (
            read_as(SuiteData, read_json(path, OTHER_FOLDER), path, OTHER_FOLDER) if path.exists() else None
        )

    def write_data(self, suite: Suite, data: SuiteData) -> None:
        """Store what a suite's results are made from."""
        write_atomically(self._data_path(suite), to_json(data.to_dict()))

    def _data_path(self, suite: Suite) -> Path:
        return self.root / "data" / f"{suite.key}.json"

    # Records

    def record_path(self, cell: Cell) -> Path:
        """Return where the record of a cell is."""
        return self.root / "records" / cell.suite / f"{cell.label}.json"

    def outcomes_path(self, cell: Cell) -> Path:
        """Return where the per-image outcomes of a cell are."""
        return self.record_path(cell).with_suffix(".npz")

    def record(self, cell: Cell) -> Record | None:
        """Return the record of a cell, or None. Raises StoreError on a damaged one."""
        path = self.record_path(cell)
        return read_record(path) if path.exists() else None

    def records(self, suite: str | None = None) -> list[Record]:
        """Return all records, or those of a suite or family. Raises StoreError on a damaged one."""
        paths = self.record_paths()
        if suite is not None:
            paths = [p for p in paths if suite in (p.parent.name, p.parent.name.partition("@")[0])]
        return [read_record(path) for path in paths]

    def some_records(self, suite: str | None = None) -> list[Record]:
        """Return what `records` does. Raises StoreError also if there are none."""
        records = self.records(suite)
        if not records:
            where = f"{self.root} for suite {suite}" if suite else str(self.root)
            raise StoreError(f"expected records in {where}, got none; make some with: flatqat bench run")
        return records

    def record_paths(self) -> list[Path]:
        """Return where all records are, sorted."""
        return sorted(self.root.glob("records/*/*.json"))

    def find(self, name: str) -> Record:
        """Return the record whose id or label begins with `name`.

        Raises StoreError if there is none or several, or if it is not finished.
        """
        records = self.records()
        matches = [r for r in records if r.cell.id.startswith(name) or r.cell.label.startswith(name)]
        if len(matches) == 1:
            (record,) = matches
            if record.status == "done":
                return record
            got = f"{record.status}: {record.reason}; name another, or run it again"
            raise StoreError(f"cell {record.cell.label}: expected a finished one, got {got}")
        what = f"{len(matches)} of them" if matches else "none"
        labels = listed([r.cell.label for r in matches or records], MOST_LISTED, empty="(no records)")
        expected = f"expected the beginning of one stored id or label in {self.root}"
        raise StoreError(f"cell {name!r}: {expected}, got {what}; there are: {labels}")

    def finished(self, cell: Cell) -> Record | None:
        """Return the record of a cell if it is done and has its outcomes, else None."""
        record = self.record(cell)
        is_finished = record is not None and record.status == "done" and self.outcomes_path(cell).exists()
        return record if is_finished else None

    def write_record(self, record: Record, outcomes: Arrays | None = None) -> None:
        """Write outcomes, then the record, whose existence says that the cell is complete; drop its work."""
        if outcomes is not None:
            write_arrays(self.outcomes_path(record.cell), outcomes)
        write_atomically(self.record_path(record.cell), to_json(record_to_dict(record)))
        shutil.rmtree(self._work(record.cell), ignore_errors=True)
        with suppress(OSError):  # other cells may still be at work
            (self.root / ".work").rmdir()

    def outcomes(self, cell: Cell, names: Collection[str] | None = None) -> Arrays:
        """Return the outcomes of a cell as `<shift>:<name>`, all or those of `names`; empty if none exist."""
        path = self.outcomes_path(cell)
        return read_arrays(path, names) if path.exists() else {}

    # Work in progress

    def weights_path(self, cell: Cell, which: str = "selected") -> Path:
        """Return where the deployed weights of a cell are.

        With `which="last"`: those of the last step, which are kept only where another step was selected.
        """
        last = ".last" if which == "last" else ""
        return self.root / "weights" / f"{cell.training_id}{last}.safetensors"

    def has_weights(self, cell: Cell) -> bool:
        """Whether the trained weights of a cell are stored."""
        return self.weights_path(cell).exists()

    def has_scores(self, cell: Cell, shift: str) -> bool:
        """Whether an unfinished cell has scores on a shift."""
        return self._scores_path(cell, shift).exists()

    def write_scores(self, cell: Cell, shift: str, scores: Mapping[str, Score], outcomes: Arrays) -> None:
        """Store the scores and per-image outcomes of an unfinished cell on a shift."""
        text = json.dumps(to_plain(scores), allow_nan=False)
        write_arrays(self._scores_path(cell, shift), {**outcomes, "scores": np.array(text)})

    def read_scores(self, cell: Cell, shift: str) -> tuple[dict[str, Score], Arrays]:
        """Return what `write_scores` stored. Raises StoreError on a damaged file."""
        path = self._scores_path(cell, shift)
        arrays = read_arrays(path)
        scores: dict[str, Score] = read_as(SCORES, json.loads(str(arrays.pop("scores"))), path)
        return scores, arrays

    def write_flatness(self, cell: Cell, flatness: Flatness) -> None:
        """Store the flatness of a cell until its record is written."""
        write_atomically(self._work(cell) / "flatness.json", to_json(flatness.to_dict()))

    def flatness(self, cell: Cell, *, recorded: bool = True) -> Flatness:
        """Return the flatness of a cell: what `write_flatness` stored and, if `recorded`, its record has."""
        path, record = self._work(cell) / "flatness.json", self.record(cell) if recorded else None
        measured = read_as(Flatness, read_json(path), path) if path.exists() else Flatness()
        return record.flatness.updated(measured) if record else measured

    def forget_work(self, cell: Cell) -> None:
        """Drop weights and partial scores, so that the cell is computed again; its record stays."""
        shutil.rmtree(self._work(cell), ignore_errors=True)
        self.weights_path(cell).unlink(missing_ok=True)
        self.weights_path(cell, "last").unlink(missing_ok=True)

    def _work(self, cell: Cell) -> Path:
        return self.root / ".work" / cell.id

    def _scores_path(self, cell: Cell, shift: str) -> Path:
        return self._work(cell) / f"{shift.replace('/', '@')}.npz"
