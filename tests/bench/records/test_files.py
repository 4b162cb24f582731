"""Writing files: in one step, with the user's umask, where links lead, and beside other runs."""

import os
import shutil
import stat
import threading
from dataclasses import replace

import numpy as np
import pytest

from flatqat.bench.records import files
from flatqat.bench.records.files import write_atomically, write_output
from flatqat.bench.records.store import Store
from flatqat.errors import StoreError
from tests.helpers.study_records import CELL


@pytest.fixture
def umask():
    before = os.umask(0o027)
    yield
    os.umask(before)


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_new_files_have_the_mode_of_the_umask_and_old_ones_keep_theirs(tmp_path, umask):
    path = tmp_path / "a" / "file"
    write_atomically(path, b"x")
    assert (mode(path), mode(path.parent)) == (0o640, 0o750)
    path.chmod(0o600)
    write_atomically(path, b"y")
    assert mode(path) == 0o600


def test_an_output_goes_where_a_link_leads(tmp_path):
    target, link, dangling = tmp_path / "d" / "target", tmp_path / "link", tmp_path / "dangling"
    target.parent.mkdir()
    target.write_bytes(b"old")
    link.symlink_to(target)
    dangling.symlink_to("d/new")
    write_output(link, b"new")
    write_output(dangling, b"more")
    assert link.is_symlink()
    assert dangling.is_symlink()
    assert (target.read_bytes(), (tmp_path / "d" / "new").read_bytes()) == (b"new", b"more")


def test_the_store_replaces_links_so_that_nothing_outside_is_written(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write_atomically(link, b"new")
    assert (target.read_bytes(), link.read_bytes(), link.is_symlink()) == (b"old", b"new", False)


def test_pipes_and_devices_are_written_as_they_are(tmp_path):
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    write_output(pipe, b"text")
    reader.join()
    assert got == [b"text"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    link = tmp_path / "null"
    link.symlink_to("/dev/null")
    write_output(link, b"text")
    assert stat.S_ISCHR(link.stat().st_mode)


def test_what_cannot_be_an_output_is_an_error(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path, tmp_path / "loop"):
        with pytest.raises(StoreError, match=f"cannot write {path}: "):
            write_output(path, b"")
    if os.path.exists("/dev/full"):
        (tmp_path / "full").symlink_to("/dev/full")
        with pytest.raises(StoreError, match="No space left on device"):
            write_output(tmp_path / "full", b"text")


def test_a_folder_that_another_run_removes_is_made_again(tmp_path, monkeypatch):
    """At every step of a write, as another run that finishes the cell does."""
    path, steps = tmp_path / "work" / "cell" / "file", []
    for name in ("open", "fsync", "replace"):
        original = getattr(os, name)

        def removing(*args, original=original, name=name, **options):
            if name not in steps:
                steps.append(name)
                shutil.rmtree(tmp_path / "work")
            return original(*args, **options)

        monkeypatch.setattr(os, name, removing)
    write_atomically(path, b"x")
    assert sorted(steps) == ["fsync", "open", "replace"]
    assert path.read_bytes() == b"x"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_work_of_another_version_is_not_taken(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.write_scores(CELL, "id", {}, {"pred": np.arange(3)})
    assert store.has_scores(CELL, "id")
    monkeypatch.setattr("flatqat.bench.records.work.__version__", "99")
    assert not store.has_scores(CELL, "id")
    store.drop_work(CELL)
    assert not (tmp_path / ".work").exists()


def test_scores_of_another_shift_or_cell_are_refused(tmp_path):
    store, other = Store(tmp_path), replace(CELL, seed=1)
    for cell in (CELL, other):
        for shift in ("fog/1", "fog/2"):
            store.write_scores(cell, shift, {}, {"pred": np.arange(3)})
    paths = [store._scores_path(CELL, "fog/1"), store._scores_path(CELL, "fog/2")]
    shutil.copy(store._scores_path(other, "fog/1"), paths[0])
    shutil.copy(store._scores_path(other, "fog/1"), paths[1])
    for shift in ("fog/1", "fog/2"):
        with pytest.raises(StoreError, match=r"expected scores of .* got others"):
            store.read_scores(CELL, shift)


def test_attempts_end(tmp_path, monkeypatch):
    def gone(*args):
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(os, "replace", gone)
    with pytest.raises(StoreError, match="No such file"):
        write_atomically(tmp_path / "x", b"")
    assert files.ATTEMPTS > 10
