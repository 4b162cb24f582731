"""A results folder from a stranger: no command runs code that it names, or touches files outside of it."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from flatqat import load_results
from flatqat.bench.plan.jobs import members
from flatqat.bench.plan.own_code import code_hash
from flatqat.bench.records.record_json import record_to_dict, to_json
from flatqat.bench.records.store import Store
from tests.helpers import RESULTS, TOY, street_records
from tests.helpers.command_line import assert_one_line_error

TRAP = """
open({marker!r}, "a").close()
from flatqat.models.tiny import MODEL


def make(classes):
    return MODEL.build("", classes)
"""
BASELINE = RESULTS / "baselines" / "digits-c.json"


@pytest.fixture
def marker(tmp_path) -> Path:
    return tmp_path / "executed"


@pytest.fixture
def hostile(tmp_path, marker) -> Path:
    """Cells of two suites whose network is a file of code inside the folder, with the hash of that code."""
    folder = tmp_path / "hostile"
    code = folder / "evil.py"
    folder.mkdir()
    code.write_text(TRAP.format(marker=str(marker)))
    store, model = Store(folder), f"file:{code}:make"
    (record, *_) = Store(RESULTS / "first-look").records()
    outcomes = Store(RESULTS / "first-look").outcomes(record.cell)
    (suite,) = members("digits-c", 0)
    plugins = code_hash(suite, record.cell.method, model, "lsq")
    store.write_record(replace(record, cell=replace(record.cell, model=model, plugins=plugins)), outcomes)
    street_records.put(store, replace(street_records.FP, model=model), street_records.matrices())
    for each in store.records():
        store.weights_path(each.cell).parent.mkdir(exist_ok=True)
        store.weights_path(each.cell).write_bytes(b"")
    assert not marker.exists()
    return folder


def test_no_command_runs_code_that_a_record_names(flatqat, hostile, marker, tmp_path):
    digits, streets = Store(hostile).records()
    at, out = ("--results", hostile), tmp_path / "out"
    forms = [("--format", form, "--by", by) for form in ("md", "csv", "json", "latex", "table")
             for by in ("method", "shift", "family", "severity")]  # fmt: skip
    for args in (
        *(("bench", "report", *at, *form) for form in forms),
        ("bench", "report", *at, "--format", "study", "--suite", "digits-c", "--output", out / "s.md"),
        ("bench", "report", *at, "--format", "html", "--output", out / "page.html"),
        ("bench", "report", *at, "--by", "class", "--suite", "streets"),
        *(("bench", "check", *at, "--baseline", BASELINE, "--format", f) for f in ("table", "junit", "md")),
        ("bench", "diff", hostile, RESULTS / "first-look"),
        ("bench", "diff", "fp", digits.cell.id, *at),
        ("results", "check", hostile),
        ("bench", "baseline", *at, "--output", out / "b.json"),
        ("bench", "run", *at, "--dry-run", "--recipe", "smoke"),
        ("results", "list", *at),
        ("results", "show", "*", *at),
        ("results", "migrate", hostile),
        ("audit", digits.cell.id, *at),
        ("cost", digits.cell.id, *at),
        ("flatness", digits.cell.id, *at),
        ("flatness", digits.cell.id, *at, "--landscape", out / "l.png"),
        ("bench", "gallery", streets.cell.id, *at, "--output", out / "g"),
        ("results", "rm", "*", *at, "--yes"),
    ):
        done = flatqat(*args)
        assert not marker.exists(), args
        assert "Traceback" not in done.err, done.err
        if args[0] in ("audit", "cost", "flatness") or args[1] == "gallery":
            told = rf"before it runs, {hostile}/evil.py:make; if you trust that file, add --model file:"
            assert_one_line_error(done, told)
    assert not list(Store(hostile).records())


def test_nor_does_reading_in_python(hostile, marker):
    assert len(load_results(hostile)) > 0
    assert not marker.exists()


@pytest.fixture
def own(flatqat, tmp_path, monkeypatch) -> Path:
    """Results of the user's own network from a file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(TRAP.format(marker=str(tmp_path / "built")))
    options = ("--method", "qat", "--model", "file:nets.py:make", "--no-flatness", "--seeds", "1")
    assert flatqat("bench", "run", "--plugin", TOY, "--suite", "toy", "--results", "r", *options).code == 0
    return tmp_path


def test_code_runs_if_the_user_names_it_and_it_is_that_of_the_cell(flatqat, own):
    args = ("audit", "file_nets", "--results", "r", "--plugin", TOY)
    assert_one_line_error(flatqat(*args), r"add --model file:nets\.py:make")
    assert flatqat(*args, "--model", "file:nets.py:make").code == 0
    (own / "moved").mkdir()
    moved = (own / "nets.py").rename(own / "moved" / "mine.py")
    assert flatqat(*args, "--model", f"file:{moved}:make").code == 0


def test_other_code_than_that_of_the_cell_does_not_run(flatqat, own):
    (own / "built").unlink()
    (own / "other.py").write_text((own / "nets.py").read_text() + "# edited\n")
    done = flatqat("audit", "file_nets", "--results", "r", "--plugin", TOY, "--model", "file:other.py:make")
    assert_one_line_error(done, r"expected the code that it was made of \(hash \w+\), got .*other\.py \(hash")
    assert not (own / "built").exists()


@pytest.mark.parametrize("suite", ["../../outside", "..", "/etc", "a/b"])
def test_a_suite_that_is_a_path_is_left_out(flatqat, hostile, tmp_path, suite):
    path = Store(hostile).record_paths()[0]
    data = json.loads(path.read_text())
    data["cell"]["suite"] = suite
    (tmp_path / "outside").mkdir()
    path.write_text(json.dumps(data))
    done = flatqat("results", "rm", "*", "--results", hostile, "--yes")
    assert f"left out: {path}: cell: expected the cell that the file is named after" in done.err
    assert "1 cell removed" in done.out
    assert path.exists()


@pytest.mark.parametrize("parent", ["../../precious", "/etc/precious", "", "a" * 13])
def test_a_parent_that_is_a_path_is_refused_and_removes_nothing(flatqat, hostile, tmp_path, parent):
    precious = tmp_path / "precious.safetensors"
    precious.write_bytes(b"w")
    store = Store(hostile)
    record = store.records("digits-c")[0]
    other = replace(record, cell=replace(record.cell, parent=parent))
    path = store.record_path(other.cell)
    path.write_bytes(to_json(record_to_dict(other)))
    done = flatqat("results", "rm", "*", "--results", hostile, "--yes")
    assert_one_line_error(done, rf"{path}: cell\.parent: expected a training id of twelve hex digits")
    assert precious.exists()
    assert path.exists()


def test_outcomes_that_are_a_link_to_itself_are_listed_and_removed(flatqat, hostile):
    store = Store(hostile)
    path = store.outcomes_path(store.records("digits-c")[0].cell)
    path.unlink()
    path.symlink_to(path.name)
    assert "2 cells" in flatqat("results", "list", "--results", hostile).out
    assert "2 cells removed" in flatqat("results", "rm", "*", "--results", hostile, "--yes").out
    assert not path.is_symlink()


@pytest.mark.parametrize("place", ["outcomes", "weights", "data"])
def test_a_pipe_among_the_files_is_refused_and_never_read(flatqat, hostile, place):
    store = Store(hostile)
    cell = store.records("digits-c")[0].cell
    path = {
        "outcomes": store.outcomes_path(cell),
        "weights": store.weights_path(cell),
        "data": hostile / "data" / "digits-c.json",
    }[place]
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    args = ("audit", cell.id, "--model", cell.model) if place == "weights" else ("bench", "report")
    assert_one_line_error(flatqat(*args, "--results", hostile), rf"{path}: expected a file, got a pipe")


def test_what_cannot_be_removed_is_said(flatqat, hostile):
    store = Store(hostile)
    path = store.outcomes_path(store.records("digits-c")[0].cell)
    path.unlink()
    path.mkdir()
    done = flatqat("results", "rm", "*", "--results", hostile, "--yes")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert f"cannot remove {path}: " in done.err
