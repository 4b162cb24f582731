"""Several results folders made one: of machines that shared a matrix, or of people that did.

Everything is checked before anything is written. Existing cells are kept, and outcomes are written before
their record, so the same command continues a merge that was cut off.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from flatqat.bench.records.files import read_bytes, write_atomically
from flatqat.bench.records.store import Store
from flatqat.bench.records.united import united
from flatqat.bench.records.weights import check_weights
from flatqat.bench.records.writable import check_writable
from flatqat.errors import StoreError
from flatqat.spec import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What a merge did.

    Attributes:
        folders: The folders that were read.
        added: How many cells each of them added to those before it.
        cells: How many cells the merged folder has.
        weights: How many files of weights were copied.
        unfinished: How many unfinished cells each of them has, which stay there.
        bare: How many finished cells of the merged folder have no outcomes, which no folder has.
    """

    folders: list[Path]
    added: list[int]
    cells: int
    weights: int
    unfinished: list[int]
    bare: int


def merge(sources: Sequence[Path], into: Path, *, weights: bool = True) -> Merged:
    """Put the cells of results folders into one, which may be new or one of them.

    A cell that several folders have must have the same numbers in each; `united` says what is kept of it.
    Weights are copied if `weights` is true.

    Raises StoreError, before anything is written, if a folder has no records or a damaged file, if a suite
    was scored on other images, if a cell has other numbers, or a training other weights.
    """
    target = Store(into)
    stores = [Store(path) for path in sources if path.resolve() != into.resolve()]
    is_new = stores and not into.is_dir()
    held = {record.cell.id: record for record in ([] if is_new else target.records())}
    found = [store.some_records() for store in stores]
    check_images([target, *stores], [list(held.values()), *found])
    plan, added = dict(held), []
    for store, records in zip(stores, found, strict=True):
        before = len(plan)
        for record in records:
            known = plan.get(record.cell.id)
            plan[record.cell.id] = united(known, record, str(store.root)) if known else record
        added.append(len(plan) - before)
    sources_of = {record.cell.id: outcomes_from(record, [target, *stores]) for record in plan.values()}
    files = [path for store in stores for path in _weights(store)] if weights else []
    pictured = {record.cell.id: _pictured(record, target, stores) for record in plan.values()}
    seen = [
        (path, store.pictures.read_seen(path)) for store in stores for path in store.pictures.seen_paths()
    ]
    _check_weights([*sorted(into.glob("weights/*.safetensors")), *files])
    check_writable(into)
    for store in stores:
        for path in store.root.glob("data/*.json"):
            copied(path, into)
    for path, images in seen:
        target.pictures.add_to(into / "data" / path.parent.name / path.name, images)
    count = sum([copied(path, into) for path in files])
    with target.claims() as claims:
        for record in plan.values():
            with target.locked(record.cell, claims) as present:
                if present and present != held.get(record.cell.id):  # another command has changed it since
                    record = united(present, record, str(into))
                source = sources_of[record.cell.id]
                if source and source is not target:
                    outcomes = read_bytes(source.outcomes_path(record.cell))
                    write_atomically(target.outcomes_path(record.cell), outcomes)
                if record != present:
                    target.write_record(record)
            if source := pictured[record.cell.id]:
                path = target.pictures.path(record.cell)
                write_atomically(path, read_bytes(source.pictures.path(record.cell)))
    return Merged(
        folders=[store.root for store in stores],
        added=added,
        cells=len(plan),
        weights=count,
        unfinished=[len([*store.root.glob(".work/*-*")]) for store in stores],
        bare=len([r for r in plan.values() if r.status == "done" and not sources_of[r.cell.id]]),
    )


def outcomes_from(record: Record, stores: Sequence[Store]) -> Store | None:
    """Return the first of some folders with the outcomes of a finished record, or None if none has any.

    Raises StoreError if what a folder has in their place are not those, and no folder has them.
    """
    if record.status != "done":
        return None
    for store in stores:
        if store.has_outcomes(record):
            return store
    for store in stores:
        path = store.outcomes_path(record.cell)
        own = store.record(record.cell)
        if os.path.lexists(path) and not (own and store.has_outcomes(own)):
            expected = "expected the outcomes of its record, got another file"
            raise StoreError(f"{path}: {expected}; restore it, or delete the cell: flatqat results rm")
    return None


def check_images(stores: Sequence[Store], records: Iterable[Sequence[Record]]) -> None:
    """Raise StoreError if two folders have scored a suite on other images."""
    known: dict[str, tuple[str, Path]] = {}
    for store, its in zip(stores, records, strict=True):
        done = {r.data_key: r.protocol.data for r in its if r.status == "done"}
        for suite, fingerprint in (store.fingerprints() | done).items():
            first, folder = known.setdefault(suite, (fingerprint, store.root))
            if fingerprint != first:
                got = f"got {first} in {folder} and {fingerprint} in {store.root}"
                raise StoreError(f"{suite}: expected the same images in all folders, {got}; keep them apart")


def _weights(store: Store) -> list[Path]:
    """Return the files of weights in a folder. Raises StoreError if one is damaged."""
    paths = sorted(store.root.glob("weights/*.safetensors"))
    for path in paths:
        check_weights(path)
    return paths


def _check_weights(paths: Iterable[Path]) -> None:
    """Raise StoreError if two files are named after one training and have other weights."""
    known: dict[str, Path] = {}
    for path in paths:
        first = known.setdefault(path.name, path)
        if first != path and _tensors(first) != _tensors(path):
            raise StoreError(
                f"{path.name}: expected the weights of one training, got others in {first.parent} and "
                f"{path.parent}: it was trained twice, and what starts from it has two beginnings; merge "
                "records alone with --no-weights"
            )


def _tensors(path: Path) -> bytes:
    """Return the numbers in a file of weights, without its metadata, which include a duration."""
    data = read_bytes(path)
    return data[8 + int.from_bytes(data[:8], "little") :]


def _pictured(record: Record, target: Store, stores: Sequence[Store]) -> Store | None:
    """Return a folder with the pictures of a record that the target lacks. Raises StoreError on damage."""
    if target.pictures.read(record):
        return None
    return next((store for store in stores if store.pictures.read(record)), None)


def copied(path: Path, into: Path) -> bool:
    """Copy a file of a results folder to its place in another one, unless it is there."""
    to = into / path.parent.name / path.name
    if missing := not to.exists():
        write_atomically(to, read_bytes(path))
    return missing
