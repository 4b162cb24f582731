"""What killed runs left goes as soon as somebody is alone in the folder; what others may write stays."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from flatqat.bench.records import files
from flatqat.bench.records.files import write_atomically
from flatqat.bench.records.store import Store
from flatqat.spec import Flatness
from tests.helpers.records import space_flatness
from tests.helpers.study_records import CELL, put, right_of

MEASURED = Flatness(quantized=space_flatness())


@pytest.fixture
def store(tmp_path) -> Store:
    """A folder with one finished cell."""
    store = Store(tmp_path)
    put(store, CELL, right_of(0, 0.1, {}, [1]))
    return store


def killed_writing(path: Path) -> Path:
    """The temporary file of a process that is killed while it writes."""
    code = "import os, sys; from pathlib import Path; from flatqat.bench.records import files\n"
    code += "os.fsync = lambda handle: os.kill(os.getpid(), 9)\n"
    code += "files.write_atomically(Path(sys.argv[1]), b'half')\n"
    assert subprocess.run([sys.executable, "-c", code, path]).returncode == -9
    (temporary,) = path.parent.glob(files.TEMPORARY)
    return temporary


def test_a_file_that_was_half_written_here_goes_at_once(store):
    temporary = killed_writing(store.root / "weights" / "x")
    with store.claims():
        assert not temporary.exists()
        temporary = killed_writing(store.root / "weights" / "x")
    assert not temporary.exists()


def test_a_file_that_is_being_written_stays(store, monkeypatch):
    def look(handle):
        with store.claims():
            pass
        assert list(store.root.rglob(files.TEMPORARY))

    monkeypatch.setattr(os, "fsync", look)
    write_atomically(store.root / "x", b"whole")
    assert (store.root / "x").read_bytes() == b"whole"


@pytest.mark.parametrize(("days", "gone"), [(0.9, False), (1.1, True)])
def test_a_file_of_another_machine_goes_after_a_day(store, days, gone):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    theirs, foreign = f".00000000-{ended.pid}.0123456789abcdef.tmp", (".syncthing.x.json.tmp", ".x.tmp")
    for name in (theirs, *foreign):
        (store.root / name).touch()
        os.utime(store.root / name, (time.time() - days * 24 * 3600,) * 2)
    with store.claims():
        assert (store.root / theirs).exists() is not gone
        assert all((store.root / name).exists() for name in foreign)


def test_the_work_of_a_finished_cell_goes_and_that_of_others_stays(store):
    other = replace(CELL, seed=7)
    for cell in (CELL, other):
        store.write_flatness(cell, Flatness())
    with store.claims():
        assert [path.name[:12] for path in store.root.glob(".work/*-*")] == [other.id]
    assert store.finished(CELL)


def test_flatness_that_no_record_has_yet_stays_for_the_next_run(store):
    store.write_flatness(CELL, MEASURED)
    with store.claims():
        assert store.measured(CELL) == MEASURED
    (record,) = store.records()
    store.write_record(replace(record, flatness=MEASURED))
    with store.claims():
        assert store.measured(CELL) == Flatness()


def test_the_scores_of_a_failed_cell_stay(store):
    (record,) = store.records()
    store.write_record(replace(record, status="failed", reason="x"))
    store.write_flatness(CELL, Flatness())
    with store.claims():
        assert list(store.root.glob(".work/*-*"))


def test_nothing_goes_while_another_takes_part(store):
    with store.claims():
        store.write_flatness(CELL, Flatness())
        with store.claims():
            pass
        assert list(store.root.glob(".work/*-*"))
    assert not (store.root / ".work").exists()


def test_a_run_with_nothing_to_do_removes_what_was_left(store):
    temporary = killed_writing(store.root / "weights" / "x")
    store.tidy()
    assert temporary.exists(), "no run was killed: the folder may not be to write in"
    store.write_flatness(CELL, Flatness())
    store.tidy()
    assert not temporary.exists()
    assert not (store.root / ".work").exists()


def test_scores_of_a_cell_whose_outcomes_are_lost_stay(store):
    """It is scored again, and what is scored already is not to be done twice."""
    work = store.root / ".work" / f"{CELL.id}-0"
    work.mkdir(parents=True)
    (work / "fog@1.npz").write_bytes(b"scores")
    store.outcomes_path(CELL).write_bytes(b"damaged")
    with store.claims():
        assert work.exists()
