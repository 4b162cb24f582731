"""Files that do not belong where they are: they are left out by name, or refused, and block no report."""

import errno
import json
import shutil
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from safetensors.numpy import save
from safetensors.torch import load_file, save_file

from flatqat.bench.records.store import Store
from flatqat.bench.records.weights import (
    check_content,
    check_weights,
    digest_of,
    digest_of_stored,
    metadata_of,
    training_log,
)
from flatqat.bench.report.render import render
from flatqat.errors import Misplaced, StoreError, Vanished
from flatqat.spec import Flatness, SuiteData
from tests.helpers import RESULTS
from tests.helpers.study_records import CELL, put, right_of

OTHER = replace(CELL, method="sam")


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(tmp_path)
    for place, cell in enumerate((CELL, OTHER)):
        put(store, cell, right_of(0, 0.1, {}, [place]))
    return store


@pytest.mark.parametrize("name", ["._{}", ".{}", ".#{}"])
def test_hidden_files_are_ignored(store, capsys, name):
    path = store.record_path(CELL)
    before = render(store, None, "md", "method")
    path.with_name(name.format(path.name)).write_bytes(b"\x00\x05\x16\x07 of another system")
    assert render(Store(store.root), None, "md", "method") == before
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "name",
    ["{} (conflicted copy 2025-01-01)", "{}.sync-conflict-20250101-120000-ABCDEFG", "{} (1)", "{}-1",
     "Copy of {}", "notes", "m-sam-4-s0-0123456789ab"],
)  # fmt: skip
@pytest.mark.parametrize("content", ["copy", "damaged"])
def test_copies_under_other_names_are_left_out_by_name(store, capsys, name, content):
    path = store.record_path(CELL)
    stranger = path.with_name(name.format(path.stem) + ".json")
    if content == "damaged" and name.startswith("m-"):
        pytest.skip("a damaged file under the name of a cell is refused")
    before = render(store, None, "md", "method")
    stranger.write_text(path.read_text() if content == "copy" else '{"schema"')
    assert render(store, None, "md", "method") == before
    line, *more = capsys.readouterr().err.splitlines()
    assert line.startswith(f"left out: {stranger}: ")
    assert not more


@pytest.mark.parametrize("what", ["a folder", "a link to nothing"])
def test_what_is_no_file_under_the_name_of_a_cell_is_left_out_for_that(store, capsys, what):
    before = render(store, None, "md", "method")
    stranger = store.record_path(replace(CELL, seed=7))
    stranger.mkdir() if what == "a folder" else stranger.symlink_to("gone")
    assert render(store, None, "md", "method") == before
    assert capsys.readouterr().err == f"left out: {stranger}: expected the file of a record, found {what}\n"


def test_a_record_under_the_name_of_another_cell_is_left_out_and_never_run_over(store, capsys):
    path, other = store.record_path(CELL), store.record_path(OTHER)
    path.replace(other)
    assert store.records() == []
    expected = f"cell: expected the cell that the file is named after, got {CELL.label} of s"
    assert f"left out: {other}: {expected}" in capsys.readouterr().err
    with pytest.raises(Misplaced, match="named after"):
        store.finished(OTHER)


def test_a_record_of_other_images_is_left_out(store, capsys):
    suite = type("Named", (), {"key": "s"})
    store.write_data(suite, SuiteData(fingerprint="d"))
    assert len(store.records()) == 2
    path = store.record_path(CELL)
    data = json.loads(path.read_text())
    data["protocol"]["data"] = "e"
    path.write_text(json.dumps(data))
    assert [record.cell for record in store.records()] == [OTHER]
    assert "protocol.data: expected d, the images of this folder, got e; move it" in capsys.readouterr().err


def test_committed_records_are_those_of_their_images(capsys):
    for folder in RESULTS.glob("*/records"):
        store = Store(folder.parent)
        assert len(store.records()) == len(list(folder.glob("*/*.json")))
    assert capsys.readouterr().err == ""


def test_weights_know_the_file_that_they_are(tmp_path):
    import torch

    first, second = tmp_path / "aa.safetensors", tmp_path / "aa.last.safetensors"
    log = {"steps": 3, "last_loss": 0.5, "seconds": 1.0}
    save_file({"x": torch.ones(1)}, first, metadata=metadata_of(first, log))
    assert training_log(first).steps == 3
    shutil.copy(first, second)
    for check in (check_weights, training_log):
        with pytest.raises(StoreError, match=r"named after, got those of aa\.safetensors; .* --rerun"):
            check(second)
    with pytest.raises(Vanished, match="found none"):
        check_weights(tmp_path / "absent.safetensors")
    save_file(load_file(first), first)  # as older versions did
    assert check_weights(first) == {}


@pytest.mark.parametrize("read", [check_weights, digest_of_stored])
def test_weights_that_cannot_be_read_say_why(tmp_path, monkeypatch, read):
    path = tmp_path / "aa.safetensors"
    path.write_bytes(save({"x": np.ones(3)}))
    monkeypatch.setattr(Path, "open", Mock(side_effect=OSError(errno.EIO, "Input/output error")))
    with pytest.raises(StoreError, match=r"aa\.safetensors: cannot be read: Input/output error; "):
        read(path)
    monkeypatch.undo()
    path.unlink()
    with pytest.raises(Vanished, match="found none"):
        read(path)


def test_weights_are_those_that_were_stored_and_that_the_record_names(tmp_path):
    path = tmp_path / "aa.safetensors"
    trained, other = {"x": np.ones(3)}, {"x": np.array([1.0, -1.0, 1.0])}
    digest = digest_of(BytesIO(save(trained))).hex()
    metadata = metadata_of(path, {"steps": 3, "last_loss": 0.5, "seconds": 1.0, "weights": digest})
    path.write_bytes(save(trained, metadata=metadata))
    for recorded in ("", digest):
        check_content(path, recorded)
    with pytest.raises(StoreError, match=f"SHA-256 {'0' * 64}, got {digest}; run the cell again"):
        check_content(path, "0" * 64)
    path.write_bytes(save(other, metadata=metadata))
    for recorded in ("", digest):
        with pytest.raises(StoreError, match=rf"aa\.safetensors: expected weights with the SHA-256 {digest}"):
            check_content(path, recorded)
    path.write_bytes(save(other))  # as older versions did
    check_content(path)
    path.write_bytes(save(trained, metadata=metadata_of(path, weights=digest)))  # without a training log
    check_content(path)
    path.write_bytes(save(other, metadata=metadata_of(path, weights=digest)))
    with pytest.raises(StoreError, match="expected weights with the SHA-256"):
        check_content(path)


def test_weights_that_are_damaged_stop_nobody_who_does_not_need_them(tmp_path):
    """As the estimate of a run, which asks each cell for flatness that was left unfinished."""
    store = Store(tmp_path)
    store.weights_path(CELL).parent.mkdir()
    store.weights_path(CELL).write_bytes(b"damaged")
    assert store.measured(CELL) == Flatness()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", "null", '{"steps": "3"}', '{"steps": 3, "steps": 4}', "[" * 100_000, '{"steps": NaN}',
     '{"steps": 3, "last_loss": Infinity, "seconds": 1}', '{"steps": 1e999, "last_loss": 1, "seconds": 1}'],
)  # fmt: skip
def test_damaged_training_logs_are_refused(tmp_path, text):
    from safetensors.numpy import save_file as save

    path = tmp_path / "aa.safetensors"
    save({"x": np.ones(1)}, path, metadata={"train": text})
    with pytest.raises(StoreError, match=r"aa\.safetensors: .*expected"):
        training_log(path)
