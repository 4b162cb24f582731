"""`flatqat results`: stored cells are listed, shown and removed one by one."""

import os
import re
from dataclasses import asdict, replace
from functools import partial
from io import StringIO
from pathlib import Path

import pytest
import typer

from flatqat.bench.plan.command_lines import commands
from flatqat.bench.records.store import Store
from flatqat.commands import stored
from flatqat.console.terminal import terminal
from flatqat.spec import Record
from tests.helpers.command_line import assert_one_line_error
from tests.helpers.study_records import CELL, put, right_of

QAT = replace(CELL, parent="aaaaaaaaaaaa")
SAM = replace(QAT, method="sam")
PART = replace(QAT, limit=7)
FAILED = replace(CELL, method="gsam", quant="3")


@pytest.fixture
def store(tmp_path) -> Store:
    """Two cells of one parent, one of them scored in part, too, and one that failed; all weights are kept."""
    store = Store(tmp_path / "r")
    for place, cell in enumerate((QAT, SAM, PART)):
        put(store, cell, right_of(0, 0.1, {}, [place]))
    store.write_record(Record(cell=FAILED, status="failed", reason="the loss is \x1b[31mnan"))
    (store.root / "weights").mkdir()
    for name in {QAT.training_id, SAM.training_id, "aaaaaaaaaaaa"}:
        for end in ("", ".last"):
            (store.root / "weights" / f"{name}{end}.safetensors").write_bytes(b"w" * 1000)
    return store


def weights(store: Store) -> set[str]:
    return {path.name.partition(".")[0] for path in (store.root / "weights").iterdir()}


def labels(text: str) -> set[str]:
    return set(re.findall(r"m-\w+-\d-s0-[0-9a-f]{12}", text))


@pytest.mark.parametrize(
    ("patterns", "cells"),
    [
        ((), {QAT, SAM, PART, FAILED}),
        (("m-qat",), {QAT, PART}),
        (("*-s0",), {QAT, SAM, PART, FAILED}),
        ((SAM.id[:5],), {SAM}),
        ((f"{SAM.id[:3]}*", "m-g?am"), {SAM, FAILED}),
        (("*am-4",), {SAM}),
    ],
)
def test_list_takes_the_beginning_of_labels_and_ids(flatqat, store, patterns, cells):
    done = flatqat("results", "list", *patterns, "--results", store.root)
    assert done.code == 0
    assert labels(done.out) == {cell.label for cell in cells}
    assert f"{len(cells)} cell" in done.out


def test_list_has_status_date_and_size(flatqat, store):
    """The date is that of the record, in UTC wherever the reader is; without one, that of its file."""
    store.write_record(replace(store.record(QAT), last_run="2026-11-28T17:03:59+00:00"))
    os.utime(store.record_path(FAILED), (3661, 3661))
    lines = flatqat("results", "list", "--results", store.root).out.splitlines()
    (failed,) = (line for line in lines if FAILED.label in line)
    assert re.search(r"failed +1970-01-01 01:01 +\d+ B", failed)
    (qat,) = (line for line in lines if QAT.label in line)
    assert re.search(r"done +2026-11-28 17:03 ", qat)
    (sam,) = (line for line in lines if SAM.label in line)
    files = [store.record_path(SAM), store.outcomes_path(SAM)]
    size = 2000 + sum(path.stat().st_size for path in files)
    assert sam.endswith(f"{size / 1000:.1f} kB ")


def test_a_pipe_in_place_of_a_results_folder_is_called_so(flatqat, tmp_path):
    os.mkfifo(tmp_path / "r")
    said = "results folder .*r: expected a folder, found a pipe"
    assert_one_line_error(flatqat("results", "list", "--results", tmp_path / "r"), said)


def test_list_tells_cells_apart_whose_labels_differ_in_the_id_alone(flatqat, store):
    part = replace(QAT, method_args=(("strength", 0.5),), recipe_args=(("lr", 0.1),), step_multiplier=2)
    edited = replace(QAT, plugins="f00")
    for place, cell in enumerate((part, edited)):
        put(store, cell, right_of(0, 0.1, {}, [place]))
    store.write_record(replace(store.record(edited), last_run="2030-01-01"))
    lines = flatqat("results", "list", "--results", store.root).out.splitlines()

    def line(cell) -> str:
        (found,) = (line for line in lines if cell.label in line)
        return " ".join(found.split())

    assert "b, strength=0.5, recipe.lr=0.1, 2x steps done 2" in line(part)
    assert "b, limit 7 done 2" in line(PART)
    assert "b done 2" in line(edited)
    assert "b done, older 2" in line(QAT)


def test_show_prints_one_record(flatqat, store):
    done = flatqat("results", "show", SAM.id, "--results", store.root)
    assert done.code == 0
    assert SAM.label in done.out
    assert "m · recipe b" in done.out
    record = store.record(SAM)
    for shift, scores in record.scores.items():
        assert re.search(rf"^ {shift} +{scores['top1'].value:.2f} +1\.00 +2\.00 +500", done.out, re.MULTILINE)
    failed = flatqat("results", "show", "m-gsam", "--results", store.root).out
    assert r"failed: " in failed
    assert "\x1b" not in failed
    assert_one_line_error(
        flatqat("results", "show", "x", "--results", store.root), "'x': expected the beginning"
    )


def test_show_names_the_weights_the_recipe_and_the_command(flatqat, store):
    at = ("--results", store.root)
    lines = flatqat("results", "show", SAM.id, *at).out.splitlines()
    path, last = store.weights_path(SAM), store.weights_path(SAM, "last")
    assert f"weights: {path}, 1.0 kB" in lines
    assert f"weights of the last step: {last}, 1.0 kB" in lines
    (recipe,) = (line for line in lines if line.startswith("recipe b: "))
    for name, value in asdict(store.record(SAM).protocol.recipe).items():
        assert f"{name} {value}" in recipe
    (command,) = commands([store.record(SAM)], str(store.root))
    assert f"command: {command}" in lines
    path.unlink()
    last.unlink()
    lines = flatqat("results", "show", SAM.id, *at).out.splitlines()
    assert f"weights: {path}, missing; the command below with --rerun trains them again" in lines
    assert not any(line.startswith("weights of the last step") for line in lines)


def test_the_command_names_a_file_of_weights_as_the_record_that_starts_from_it(flatqat, tmp_path):
    store = Store(tmp_path)
    put(store, replace(CELL, method="fp", quant="fp", weights="ab12"), right_of(0, 0.1, {}, [0]))
    put(store, replace(CELL, weights="ab12", parent="aaaaaaaaaaaa"), right_of(0, 0.1, {}, [1]))
    (fp,) = (record for record in store.records() if record.cell.method == "fp")
    for cell in ("m-fp", "m-qat"):
        shown = flatqat("results", "show", cell, "--results", tmp_path).out
        assert f"--weights {fp.protocol.parent}" in shown


@pytest.mark.parametrize("command", ["list", "show", "rm"])
def test_a_cell_that_is_not_stored_is_answered_with_those_that_are(flatqat, store, command):
    def told(pattern: str) -> set[str]:
        done = flatqat("results", command, pattern, "--results", store.root)
        assert_one_line_error(
            done, f"cell '{re.escape(pattern)}': expected the beginning .*got none; there are: "
        )
        return labels(done.err)

    assert told("gsam") == {FAILED.label}
    assert told("qat*s1") == {cell.label for cell in (QAT, SAM, PART, FAILED)}


def test_show_takes_what_rm_takes_and_says_which_revision_a_cell_is(flatqat, store):
    for code, day in (("a" * 12, "2030-01-01"), ("b" * 12, "2030-01-02")):
        cell = replace(QAT, method="mine", plugins=code)
        put(store, cell, right_of(0, 0.1, {}, [0]))
        store.write_record(replace(store.record(cell), last_run=f"{day}T10:20:30.000+00:00"))
    lines = flatqat("results", "show", "*mine*", SAM.id[:5], "--results", store.root).out.splitlines()
    heads = {line: lines[k + 1] for k, line in enumerate(lines) if line.endswith(" of s")}
    older, latest = (replace(QAT, method="mine", plugins=letter * 12).label for letter in "ab")
    assert heads[f"{older} of s"] == (
        "revision aaaaaa, last run 2030-01-01 10:20 UTC, older: newer code has replaced it"
    )
    assert heads[f"{latest} of s"] == "revision bbbbbb, last run 2030-01-02 10:20 UTC"
    assert heads[f"{SAM.label} of s"].startswith("s v1 · m")


@pytest.mark.parametrize(
    ("width", "gone"),
    [(None, []), (150, []), (80, ["size", "last run, UTC"]), (60, ["size", "last run, UTC", "suite"])],
)
def test_a_narrow_terminal_leaves_columns_out_and_cuts_no_label(store, monkeypatch, width, gone):
    put(store, replace(QAT, recipe_args=(("lr", 0.1), ("steps", 5))), right_of(0, 0.1, {}, [0]))
    text = on_terminal(monkeypatch, width)
    stored.print_cells(store.root, [])
    printed = re.sub(r"\x1b\[[\d;]*m", "", text.getvalue())
    assert len(labels(printed)) == 5
    assert all(len(line) <= (width or 200) for line in printed.splitlines())
    assert "recipe.lr=0.1" in printed
    assert [
        name for name in ("size", "last run, UTC", "suite") if name not in printed.splitlines()[1]
    ] == gone
    assert (
        f"left out: {', '.join(gone)}; a wider terminal or a pipe has all" in " ".join(printed.split())
    ) == bool(gone)
    if not width:
        assert "b, recipe.lr=0.1, recipe.steps=5" in printed


LONG = "a-domain-with-a-long-name/" + 9 * "of-many-words-"
"""The name of a set that no terminal has room for."""


def on_terminal(monkeypatch, width: int | None) -> StringIO:
    """Where the commands on stored cells print to: a terminal of this width, or a pipe."""
    text, settings = StringIO(), {"width": width, "force_terminal": True, "no_color": True} if width else {}
    monkeypatch.setattr(stored, "terminal", partial(terminal, file=text, **settings))
    return text


@pytest.mark.parametrize("width", [None, 80, 40])
def test_show_wraps_sentences_between_words_and_cuts_nothing(store, monkeypatch, width):
    record = store.record(SAM)
    shifts = {**record.protocol.shifts, LONG: record.protocol.shifts["id"]}
    protocol = replace(record.protocol, preprocessing=" ".join(50 * ["word"]), shifts=shifts)
    scores = {**record.scores, LONG: record.scores["id"]}
    store.write_record(replace(record, protocol=protocol, scores=scores))
    text = on_terminal(monkeypatch, width)
    stored.print_records(store.root, [SAM.id])
    printed = re.sub(r"\x1b\[[\d;]*m", "", text.getvalue())
    lines = printed.splitlines()
    assert re.search(rf"^ {LONG} +\d+\.\d\d +1\.00 +2\.00 +500", printed, re.MULTILINE)
    assert "…" not in printed
    told = lines[1 : next(at for at, line in enumerate(lines) if line.startswith("starts from "))]
    assert (len(told) == 1) == (width is None)
    assert width is None or max(map(len, told)) <= width
    assert " ".join(told).count(" word") == 50
    (command,) = commands([store.record(SAM)], str(store.root))
    assert f"command: {command}" in lines


@pytest.mark.parametrize("width", [None, 80])
def test_list_cuts_no_long_label_beside_long_settings(store, monkeypatch, width):
    cell = replace(QAT, model="a-model-with-" + 9 * "a-long-name-", recipe_args=(("lr", 0.1), ("steps", 5)))
    put(store, cell, right_of(0, 0.1, {}, [0]))
    text = on_terminal(monkeypatch, width)
    stored.print_cells(store.root, [cell.id])
    assert cell.label in text.getvalue()
    assert "…" not in text.getvalue()
    assert ("b, recipe.lr=0.1, recipe.steps=5" in text.getvalue()) == (width is None)


def test_rm_asks_first(flatqat, store, monkeypatch):
    import io

    for answer, code in (("n\n", 0), ("", 2)):
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        done = flatqat("results", "rm", "m-sam", "--results", store.root)
        assert done.code == code
        assert "Remove this? [y/N]" in done.err
        assert store.record(SAM)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert "1 cell removed" in flatqat("results", "rm", "m-sam", "--results", store.root).out
    assert store.record(SAM) is None


def test_rm_gets_no_answer_where_standard_input_is_closed(flatqat, store, monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    done = flatqat("results", "rm", "m-sam", "--results", store.root)
    assert done.code == 2
    assert "results rm: expected y or n, got no answer; --yes removes without asking" in done.err
    assert store.record(SAM)


def test_rm_removes_no_cell_that_came_while_it_asked(flatqat, store, monkeypatch):
    def agree_later(*args, **options) -> bool:
        put(store, replace(SAM, seed=7), right_of(0, 0.1, {}, [0]))
        return True

    monkeypatch.setattr(typer, "confirm", agree_later)
    assert "1 cell removed" in flatqat("results", "rm", "m-sam*", "--results", store.root).out
    assert store.record(SAM) is None
    assert store.record(replace(SAM, seed=7))


def test_an_interrupt_while_rm_asks_is_no_missing_answer(flatqat, store, monkeypatch):
    class Interrupted(StringIO):
        def readline(self, *args) -> str:
            raise KeyboardInterrupt

    monkeypatch.setattr("sys.stdin", Interrupted())
    done = flatqat("results", "rm", "m-sam", "--results", store.root)
    assert done.code == 130
    assert done.err.endswith("interrupted\n")
    assert store.record(SAM)


def test_rm_says_which_images_go_too(flatqat, tmp_path, monkeypatch):
    import io

    from tests.helpers.street_pictures import FP, QAT, put_seen, put_with_pictures

    streets = Store(tmp_path / "streets")
    for number, cell in enumerate((FP, QAT)):
        put_with_pictures(streets, cell, number)
    put_seen(streets)

    def asked(pattern: str) -> str:
        monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
        return str(flatqat("results", "rm", pattern, "--results", streets.root).err)

    assert "Remove this? [y/N]" in asked(QAT.id)
    assert "Remove these, with 2 files of images that no other cell was scored on? [y/N]" in asked("*")


def test_rm_keeps_what_other_cells_need(flatqat, store):
    store.write_scores(QAT, "id", {}, {})

    def rm(*patterns: str) -> str:
        return str(flatqat("results", "rm", *patterns, "--results", store.root, "--yes").out)

    assert "1 cell removed" in rm(QAT.id)
    assert not store.record_path(QAT).exists()
    assert not store.outcomes_path(QAT).exists()
    assert not (store.root / ".work").exists()
    assert weights(store) == {
        QAT.training_id,
        SAM.training_id,
        "aaaaaaaaaaaa",
    }  # those of a limit are the same
    rm(PART.id)
    assert weights(store) == {SAM.training_id, "aaaaaaaaaaaa"}
    assert store.finished(SAM)
    rm("*")
    assert weights(store) == set()
    assert not list(store.root.glob("records/*/*"))


def test_wrong_folders_and_patterns(flatqat, store, tmp_path):
    nowhere = tmp_path / "nores"
    for args in (("list",), ("show", "x"), ("rm", "x", "--yes")):
        assert_one_line_error(
            flatqat("results", *args, "--results", nowhere), f"results folder {nowhere}: .*found none"
        )
    assert_one_line_error(flatqat("results", "rm", "x", "--results", store.root, "--yes"), "got none")
    assert not Path(nowhere).exists()
