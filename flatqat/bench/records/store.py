"""The results folder: a small JSON record of each cell, its per-image outcomes, and work in progress.

    RESULTS/records/<suite>/<label>.json   the record; its existence is the cell's completion
    RESULTS/records/<suite>/<label>.npz    for every image of every shift: class and margin, or confusion
    RESULTS/sensitivity/<label>/           what lower bits cost the layers of a cell, where that was measured
    RESULTS/data/<suite>.json              fingerprint of the data that all results of a suite are made from
    RESULTS/data/<suite>/<shift>.npz       of a segmentation suite: a few images of a shift, small, with truth
    RESULTS/pictures/<suite>/<label>.npz   what a cell predicts of these images, see `pictures`
    RESULTS/weights/<id>.safetensors       trained weights by training id, the training log in their metadata
    RESULTS/weights/<id>.last.safetensors  the weights of the last step, where those of another were selected
    RESULTS/.work/<id>-<version>/          scores of finished shifts and flatness, until the record is written
    RESULTS/.work/claims/                  claims of running processes

Every file is written once, atomically: to a temporary file in the same folder, flushed, synced, renamed. A
record has the hash of its outcomes, which are written first; weights have their name in their metadata. What
a record says makes no path: a record is read only where its cell belongs.
"""

import hashlib
import re
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

from flatqat.bench.records.cell_names import begins, candidates
from flatqat.bench.records.claims import Claims
from flatqat.bench.records.files import (
    Arrays,
    arrays_as_bytes,
    entries,
    is_own,
    read_arrays,
    read_bytes,
    write_atomically,
)
from flatqat.bench.records.named import results_option
from flatqat.bench.records.outcomes import NAMES, stack, stacks
from flatqat.bench.records.pictures import NOTHING, Pictures, Predicted
from flatqat.bench.records.record_json import read_as, read_json, read_record, record_as_json, to_json
from flatqat.bench.records.work import Work
from flatqat.console.printable import printable
from flatqat.errors import Misplaced, StoreError, Vanished, found, listed
from flatqat.spec import Cell, Flatness, Record, SuiteData
from flatqat.suite import Suite

OTHER_FOLDER = "restore the file, or use another --results"
RECORD_NAME = re.compile(r"[\w.@-]+-s-?\d+-[0-9a-f]{12}\.json")


class Store(Work):
    """One results folder. Reading never creates it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.pictures = Pictures(root)
        self._left_out: set[Path] = set()

    def data(self, suite: Suite) -> SuiteData | None:
        """Return what a suite's results are made from, or None if there are none yet."""
        return self._data(suite.key)

    def write_data(self, suite: Suite, data: SuiteData) -> None:
        """Store what a suite's results are made from."""
        write_atomically(self.root / "data" / f"{suite.key}.json", to_json(data.to_dict()))

    def fingerprints(self) -> dict[str, str]:
        """Return the fingerprint of the images of each suite, by the name of the file that has it."""
        found = {path.stem: self._data(path.stem) for path in sorted(self.root.glob("data/*.json"))}
        return {key: data.fingerprint for key, data in found.items() if data}

    def _data(self, key: str) -> SuiteData | None:
        path = self.root / "data" / f"{key}.json"
        try:
            return read_as(SuiteData, read_json(path, OTHER_FOLDER), path, OTHER_FOLDER)
        except Vanished:
            return None

    def weights_sha256(self, cell: Cell) -> str:
        """Return the hash of the weights of a cell. Raises Vanished if there are none."""
        return hashlib.sha256(read_bytes(self.weights_path(cell))).hexdigest()

    def sensitivity_path(self, cell: Cell) -> Path:
        """Return the folder of what was measured of a cell with other bits."""
        return Path(self.root, "sensitivity", cell.label)

    # Records

    def record_path(self, cell: Cell) -> Path:
        """Return where the record of a cell is."""
        return Path(self.root, "records", cell.suite, f"{cell.label}.json")

    def outcomes_path(self, cell: Cell) -> Path:
        """Return where the per-image outcomes of a cell are."""
        return Path(self.root, "records", cell.suite, f"{cell.label}.npz")

    def record(self, cell: Cell) -> Record | None:
        """Return the record of a cell, or None. Raises StoreError on a damaged one."""
        try:
            return self.read(self.record_path(cell))
        except Vanished:
            return None

    def records(self, suite: str | None = None) -> list[Record]:
        """Return all records, or those of a suite or family. Raises StoreError on a damaged one.

        A copy under another name or from another folder is left out, with a line on stderr.
        """
        paths = self.record_paths()
        if suite is not None:
            paths = [p for p in paths if suite in (p.parent.name, p.parent.name.partition("@")[0])]
        found, data = [], cache(self._data)
        for path in paths:
            try:
                found.append(self.read(path, data))
            except Misplaced as error:
                self._leave_out(path, error)
            except Vanished:  # another command removed it meanwhile
                continue
        return found

    def some_records(self, suite: str | None = None) -> list[Record]:
        """Return what `records` does. Raises StoreError also if there are none."""
        records = self.records(suite)
        if not records:
            where = f"{self.root} for suite {suite}" if suite else str(self.root)
            there = dict.fromkeys(path.parent.name for path in self.record_paths())
            got = f"got those of {listed(there)}" if there else "got none"
            make = f"make some with: flatqat bench run{results_option(self.root)}"
            raise StoreError(f"expected records in {where}, {got}; {make}")
        return records

    def record_paths(self) -> list[Path]:
        """Return where all records are, sorted. Raises StoreError without a results folder that can be read.

        Hidden files are ignored. What has another kind of name, or is not a file, is left out, with a line on
        stderr.
        """
        if (got := found(self.root)) != "a folder":
            raise StoreError(f"results folder {self.root}: expected a folder, found {got}; check the path")
        paths = []
        for path in (file for folder in entries(self.root / "records") for file in entries(folder)):
            if path.suffix != ".json" or path.name.startswith(".") or path.parent.name.startswith("."):
                continue
            if not RECORD_NAME.fullmatch(path.name):
                self._leave_out(path, f"{path}: expected the name of a cell")
            elif path.is_file():
                paths.append(path)
            elif (what := found(path)) != "none":  # where another command removed it meanwhile
                self._leave_out(path, f"{path}: expected the file of a record, found {what}")
        return paths

    def find(self, name: str) -> Record:
        """Return the record whose id or label begins with `name`, with the wildcards * and ?.

        Raises StoreError if there is none or several, or if it is not finished.
        """
        records = self.records()
        matches = [record for record in records if begins(record.cell, name)]
        if len(matches) == 1:
            (record,) = matches
            if record.status == "done":
                return record
            got = f"{record.status}: {record.reason}; name another, or run it again"
            raise StoreError(f"cell {record.cell.label}: expected a finished one, got {got}")
        what = f"{len(matches)} of them" if matches else "none"
        expected = f"expected the beginning of one stored id or label in {self.root}"
        raise StoreError(f"cell {name!r}: {expected}, got {what}; {candidates(matches or records, name)}")

    def finished(self, cell: Cell) -> Record | None:
        """Return the record of a cell if it is done and its outcomes are stored and its own, else None."""
        record = self.record(cell)
        is_finished = record is not None and record.status == "done" and self.has_outcomes(record)
        return record if is_finished else None

    def write_record(
        self, record: Record, outcomes: Arrays | None = None, predicted: Predicted = NOTHING
    ) -> Record:
        """Write pictures and outcomes, then the record with their hash; returns what is stored.

        The record's existence says that the cell is complete, the hash that all belong together. Raises
        StoreError on one that could not be read again.
        """
        if outcomes is not None:
            data = arrays_as_bytes(stack(outcomes))
            record = replace(record, outcomes_sha256=hashlib.sha256(data).hexdigest())
        text = record_as_json(record)
        if outcomes is not None:
            self.pictures.write(record, predicted)
            write_atomically(self.outcomes_path(record.cell), data)
        write_atomically(self.record_path(record.cell), text)
        return record

    @contextmanager
    def locked(self, cell: Cell, claims: Claims) -> Iterator[Record | None]:
        """Yield the record of a cell, which no other command changes within the block.

        For a change to what is stored: read and written without this, one of two changes would be lost.
        """
        with claims.lock(cell.id):  # the claim under which a run writes a record
            yield self.record(cell)

    def has_outcomes(self, record: Record) -> bool:
        """Whether the outcomes of a record are stored and its own."""
        return is_own(self.outcomes_path(record.cell), record.outcomes_sha256)

    def outcomes(self, cell: Cell, names: Collection[str] | None = None, sha256: str = "") -> Arrays:
        """Return the outcomes of a cell as `<shift>:<name>`, all or those of `names`; empty if none exist.

        Raises StoreError if they are damaged or their hash is not `sha256`, where that is known.
        """
        return {
            f"{shift}:{name}": row
            for shifts, arrays in self.stacks(cell, names, sha256)
            for name, array in arrays.items()
            for shift, row in zip(shifts, array, strict=True)
        }

    def stacks(
        self, cell: Cell, names: Collection[str] | None = None, sha256: str = ""
    ) -> list[tuple[list[str], Arrays]]:
        """Return what `outcomes` does, in groups: names of shifts, and arrays (shifts, images, ...)."""
        path, wanted = self.outcomes_path(cell), names and {NAMES, *names}
        try:
            return stacks(read_arrays(path, wanted, sha256))
        except Vanished:
            return []
        except ValueError as error:
            raise StoreError(f"{path}: {error}; delete it and run the cell again") from error

    def read(self, path: Path, data_of: Callable[[str], SuiteData | None] | None = None) -> Record:
        """Return the record of a file. Raises StoreError; Misplaced, too, if it is of other images."""
        record = read_record(path)
        key = record.data_key
        data = (data_of or self._data)(key) if record.status == "done" and "/" not in key else None
        if data and data.fingerprint != record.protocol.data:
            expected = f"expected {data.fingerprint}, the images of this folder, got {record.protocol.data}"
            raise Misplaced(f"{path}: protocol.data: {expected}; move it to a folder of its own")
        return record

    def _leave_out(self, path: Path, why: object) -> None:
        if path not in self._left_out:
            self._left_out.add(path)
            print(printable(f"left out: {why}"), file=sys.stderr)

    def flatness(self, cell: Cell, *, recorded: bool = True) -> Flatness:
        """Return the flatness of a cell: what `write_flatness` stored and, if `recorded`, its record has."""
        record = self.record(cell) if recorded else None
        return record.flatness.updated(self.measured(cell)) if record else self.measured(cell)
