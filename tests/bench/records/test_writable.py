"""A results folder that cannot be written is found before the work."""

import tempfile

import pytest

from flatqat.bench.records.writable import check_looks_writable, check_writable
from flatqat.errors import StoreError


def test_an_unwritable_folder_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="expected a folder that can be written"):
        check_writable(tmp_path / "file" / "results")


@pytest.mark.parametrize("name", ["records", "weights", "data", ".work"])
def test_an_unwritable_folder_in_a_results_folder_is_an_error(tmp_path, name):
    """It would be found at the end of a run; a file stands for a folder that root, too, cannot write to."""
    (tmp_path / name).write_text("")
    for check in (check_writable, check_looks_writable):
        with pytest.raises(StoreError, match=rf"{name}: expected a folder that can be written"):
            check(tmp_path)


def test_a_folder_that_can_be_written_is_made_and_stays_empty(tmp_path):
    check_looks_writable(tmp_path / "new")
    assert not (tmp_path / "new").exists()
    check_writable(tmp_path / "new")
    assert [*(tmp_path / "new").iterdir()] == []


def test_a_folder_that_another_run_removes_meanwhile_is_no_error(tmp_path, monkeypatch):
    """At its end each run removes `.work`, if no other has anything there."""
    work, made = tmp_path / ".work", tempfile.TemporaryFile
    work.mkdir()

    def removed_first(dir):
        if dir == work:
            work.rmdir()
        return made(dir=dir)

    monkeypatch.setattr(tempfile, "TemporaryFile", removed_first)
    check_writable(tmp_path)
    assert not work.exists()


def test_a_link_to_nothing_is_an_error(tmp_path):
    (tmp_path / "records").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StoreError, match="records: expected a folder that can be written"):
        check_writable(tmp_path)
