"""Stored cells taken out of a results folder, with everything that no other cell of it needs."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from flatqat.bench.records.cell_names import begins, candidates
from flatqat.bench.records.files import remove_file, size_of
from flatqat.bench.records.store import Store
from flatqat.errors import StoreError, Vanished
from flatqat.spec import Record


def matching(records: Sequence[Record], patterns: Sequence[str]) -> list[Record]:
    """Return the records whose id or label begins with a pattern, all without one.

    Raises StoreError if a pattern matches none.
    """
    for pattern in patterns:
        if not any(begins(record.cell, pattern) for record in records):
            expected = "expected the beginning of a stored id or label, or a pattern with * and ?"
            raise StoreError(f"cell {pattern!r}: {expected}, got none; {candidates(records, pattern)}")
    return [r for r in records if not patterns or any(begins(r.cell, pattern) for pattern in patterns)]


def bytes_of(record: Record, store: Store) -> int:
    """Return the bytes of the files of a cell that are stored, those of its weights included."""
    cell, total = record.cell, 0
    weights = [store.weights_path(cell, which) for which in ("selected", "last")]
    measured = sorted(store.sensitivity_path(cell).glob("*"))
    own = (store.record_path(cell), store.outcomes_path(cell), store.pictures.path(cell))
    for path in (*own, *weights, *measured):
        with suppress(Vanished):
            total += size_of(path)
    return total


def images_of_no_other(records: Collection[Record], store: Store) -> list[Path]:
    """Return the files of images of the suites of cells that no other stored cell was scored on.

    None if other cells are unfinished or a run is at work, since these may need them.
    """
    gone = {record.cell.id for record in records}
    if any(path.name.partition("-")[0] not in gone for path in store.root.glob(".work/*")):
        return []
    keys = {record.data_key for record in records}
    needed = {
        store.pictures.seen_path(record.data_key, shift)
        for record in store.records()
        if record.cell.id not in gone
        for shift in record.scores
    }
    paths = [path for path in store.pictures.seen_paths() if path.parent.name in keys]
    return [path for path in paths if path not in needed]


def remove(records: Collection[Record], store: Store) -> None:
    """Remove all that is stored of cells, and weights and images that no other stored cell needs.

    Weights are needed by cells that have them or start from them. A record goes before the rest of its cell,
    so that a cell cut off halfway is one that was never finished. Raises StoreError if a file cannot be
    removed.
    """
    cells = [record.cell for record in records]
    gone = {cell.id for cell in cells}
    kept = [record.cell for record in store.records() if record.cell.id not in gone]
    needed = {name for cell in kept for name in (cell.training_id, cell.parent)}
    images = images_of_no_other(records, store)
    for cell in cells:
        remove_file(store.record_path(cell))
        remove_file(store.outcomes_path(cell))
        remove_file(store.pictures.path(cell))
        with suppress(OSError):  # there is none, or there are those of other cells
            store.pictures.path(cell).parent.rmdir()
        store.drop_work(cell)
        for path in store.sensitivity_path(cell).glob("*"):
            remove_file(path)
        with suppress(OSError):  # there is none, or another command is writing to it
            store.sensitivity_path(cell).rmdir()
    for name in {name for cell in cells for name in (cell.training_id, cell.parent)} - needed:
        if name:
            store.drop_weights(name)
    for path in images:
        remove_file(path)
        with suppress(OSError):  # there are others in it
            path.parent.rmdir()
