"""Atomic writes, and clear errors for damaged files."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from flatqat.bench.records.store import Store, read_arrays, read_record, to_json, write_atomically
from flatqat.errors import StoreError
from flatqat.spec import Cell, Record, Score
from tests.helpers import RESULTS
from tests.helpers.records import protocol, shift_info

CELL = Cell(
    suite="s", suite_version=1, model="cifar:x", method="qat", quant="4", recipe="b", seed=0, limit=9
)  # fmt: skip
SCORE = Score(value=50.0, n=4, stderr=None)
RECORD = Record(
    cell=CELL,
    status="done",
    scores={shift: {"top1": SCORE, "nll": SCORE, "ece": SCORE} for shift in ("id", "fog/1")},
    protocol=protocol({"id": shift_info("id"), "fog/1": shift_info("weather")}),
)


def test_records_survive_the_round_trip(tmp_path):
    store = Store(tmp_path)
    stored = store.write_record(RECORD, {"id:pred": np.arange(4, dtype=np.uint8)})
    assert replace(stored, outcomes_sha256="") == RECORD
    assert store.record(CELL) == stored
    assert store.records() == [stored]
    assert store.outcomes(CELL)["id:pred"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (
            replace(RECORD, cell=replace(CELL, suite_version="1")),
            "cell.suite_version: expected a whole number",
        ),
        (replace(RECORD, protocol=replace(RECORD.protocol, class_names=(1, 2))), "class_names.0: expected a"),
        (replace(RECORD, protocol=replace(RECORD.protocol, normalizer="x")), "normalizer: expected one of"),
        (replace(RECORD, scores={"id": {"top1": SCORE}}), "scores: expected those of the protocol's shifts"),
    ],
)
def test_a_record_that_could_not_be_read_again_is_not_stored(tmp_path, record, said):
    with pytest.raises(StoreError, match=rf"{said}.*; the record is not stored"):
        Store(tmp_path).write_record(record, {"id:pred": np.arange(4)})
    assert not list(tmp_path.rglob("*.*"))


def test_of_changes_at_once_none_is_lost(tmp_path):
    store, count = Store(tmp_path), 4
    store.write_record(RECORD)
    together = Barrier(count)

    def add(number: int) -> None:
        together.wait()
        with store.claims() as claims, store.locked(CELL, claims) as stored:
            assert stored is not None
            store.write_record(replace(stored, reason=f"{stored.reason}{number}"))

    with ThreadPoolExecutor(count) as threads:
        list(threads.map(add, range(count)))
    changed = store.record(CELL)
    assert changed is not None
    assert sorted(changed.reason) == ["0", "1", "2", "3"]
    assert not (tmp_path / ".work").exists()


def test_a_change_waits_for_the_run_that_writes_the_record(tmp_path):
    store = Store(tmp_path)
    store.write_record(RECORD)

    def rescored() -> str:
        with store.claims() as claims, store.locked(CELL, claims) as stored:
            return stored.reason if stored else ""

    with ThreadPoolExecutor(1) as threads, store.claims() as claims:
        with claims.hold(CELL.id):
            waiting = threads.submit(rescored)
            store.write_record(replace(RECORD, reason="written by the run"))
        assert waiting.result() == "written by the run"


def test_outcomes_can_be_read_by_their_names_alone(tmp_path):
    store, stored = Store(tmp_path), ("id:pred", "id:margin", "fog/1:margin", "fog/1:pred")
    store.write_record(RECORD, {key: np.arange(4) for key in stored})
    assert set(store.outcomes(CELL)) == set(stored)
    assert set(store.outcomes(CELL, ("margin",))) == {"id:margin", "fog/1:margin"}


@pytest.mark.parametrize("broken", ["write", "fsync", "replace"])
def test_a_failing_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, broken):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def fail(*args):
        raise OSError(28, "No space left on device")

    if broken == "write":
        monkeypatch.setattr(os, "fdopen", fail)
    else:
        monkeypatch.setattr(os, broken, fail)
    with pytest.raises(StoreError, match="No space left on device"):
        write_atomically(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b'{"schema": 1}',
        b'{"schema": 1, "cell": {}, "scores": {}, "status": "done"}',
        b"\xff",
    ],
)
def test_a_damaged_record_names_its_file(tmp_path, text):
    path = tmp_path / "records" / "s" / "x-s0-0123456789ab.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(text)
    with pytest.raises(
        StoreError, match=r"x-s0-0123456789ab\.json: (\w+: )?expected (JSON|a JSON object|a value)"
    ):
        Store(tmp_path).records()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"status": "done"', '"status": "finished"'),
        ('"reference": false', '"other": false'),
        ('"reference": false', '"reference": "x"'),
        ('"value": 50.0', '"value": "x"'),
        ('"seed": 0', '"seed": "0"'),
        ('"top1"', '"top2"'),
        ('"flatness": {}', '"flatness": {"quantized": {"x": 1}}'),
    ],
)
def test_a_record_that_reports_could_not_read_is_damaged(tmp_path, old, new):
    store = Store(tmp_path)
    store.write_record(RECORD)
    path = store.record_path(CELL)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(StoreError, match=rf"{path.name}: .*expected .*delete it and run the cell again"):
        store.records()


def test_a_record_from_the_future_is_refused(tmp_path):
    path = tmp_path / "x.json"
    path.write_bytes(to_json({"schema": 99}))
    with pytest.raises(StoreError, match=r"x\.json: schema: expected 2 or older, got 99; update flatqat"):
        read_record(path)


def test_damaged_and_pickled_arrays_are_refused(tmp_path):
    path = tmp_path / "x.npz"
    path.write_bytes(b"PK\x03\x04 nonsense")
    with pytest.raises(StoreError, match="damaged"):
        read_arrays(path)
    np.savez(path, x=np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(StoreError, match="damaged"):
        read_arrays(path)


def test_cells_are_found_by_the_beginning_of_id_or_label(tmp_path):
    store = Store(tmp_path)
    store.write_record(RECORD)
    store.write_record(replace(RECORD, cell=replace(CELL, seed=1)))
    assert store.find(CELL.id[:6]) == RECORD
    assert store.find("cifar_x-qat-4-s1").cell.seed == 1
    with pytest.raises(StoreError, match="2 of them"):
        store.find("cifar_x-qat")
    with pytest.raises(StoreError, match=r"got none; there are: cifar_x-qat-4-s0"):
        store.find("nothing")
    store.write_record(Record(cell=replace(CELL, seed=2), status="failed", reason="the loss is nan"))
    with pytest.raises(StoreError, match=r"s2.*: expected a finished one, got failed: the loss is nan; name"):
        store.find("cifar_x-qat-4-s2")


def test_finished_is_done_and_has_its_outcomes(tmp_path):
    store = Store(tmp_path)
    assert store.finished(CELL) is None
    store.write_record(RECORD)
    assert store.finished(CELL) is None
    stored = store.write_record(RECORD, {"id:pred": np.arange(4)})
    assert store.finished(CELL) == stored
    store.write_record(Record(cell=CELL, status="failed", reason="the loss is nan"))
    assert store.finished(CELL) is None


@pytest.mark.parametrize("folder", ["records", "records/digits-c"])
def test_a_folder_that_cannot_be_read_does_not_count_as_empty(monkeypatch, folder):
    """A user who is root may read all, so the system's answer is made up."""
    store = Store(RESULTS / "first-look")
    iterdir = Path.iterdir

    def refused(path):
        if path == store.root / folder:
            raise PermissionError(13, "Permission denied", str(path))
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", refused)
    with pytest.raises(StoreError, match=f"{folder}: cannot be read: Permission denied; change"):
        store.records()
