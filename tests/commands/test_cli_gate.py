"""`flatqat bench baseline` and `bench check` on made-up results."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from flatqat.bench.gate.wording import COLUMNS
from flatqat.bench.records.store import Store
from flatqat.commands import verdicts
from flatqat.console import terminal
from flatqat.spec import Record
from tests.helpers.command_line import assert_one_line_error, terminal_of
from tests.helpers.gate_records import CELL, SHIFTS, flipped, outcomes, store_with
from tests.helpers.records import environment, shift_info

WORSE = {shift: flipped(right, lost=300) for shift, right in outcomes().items()}
LONG = replace(
    CELL,
    suite="a-suite-with-a-long-name",
    method="a-method-with-a-long-name",
    method_args=(("coupling", "elastic"), ("strength", 0.125)),
)


@pytest.fixture
def baseline(flatqat, tmp_path):
    file = tmp_path / "b.json"
    store_with(tmp_path / "old", outcomes())
    done = flatqat("bench", "baseline", "--results", tmp_path / "old", "--output", file)
    assert (done.code, done.out) == (0, f"{file}: 1 cell\n")
    return file


def test_exit_codes_and_what_they_say(flatqat, tmp_path, baseline):
    def check(folder, *options):
        return flatqat("bench", "check", "--results", tmp_path / folder, "--baseline", baseline, *options)

    fine = check("old")
    assert (fine.code, "fine: no significant drop" in fine.out) == (0, True)
    store_with(tmp_path / "worse", WORSE)
    worse = check("worse")
    assert (worse.code, "REGRESSED (tolerance 0.5 points, p < 0.01; 4 regressed)" in worse.out) == (1, True)
    store_with(tmp_path / "better", {s: flipped(right, won=300) for s, right in outcomes().items()})
    assert check("better").code == 0
    assert check("better", "--two-sided").code == 4
    Store(tmp_path / "failed").write_record(Record(cell=CELL, status="failed", reason="the loss is nan"))
    failed = check("failed")
    assert failed.code == 3
    assert "not compared: qat 4: seed 0 failed: the loss is nan" in failed.out
    (tmp_path / "empty").mkdir()
    empty = check("empty")
    assert (empty.code, "not compared: qat 4 · s · m · recipe b: not in the results" in empty.out) == (
        3,
        True,
    )
    assert_one_line_error(check("nores"), "results folder .*nores: expected a folder, found none; make one")
    (tmp_path / "file").touch()
    assert_one_line_error(check("file"), "expected a folder")
    assert_one_line_error(flatqat("bench", "check", "--baseline", tmp_path / "none.json"), "none.json")
    for option in ("--max-drop", "--retraining-sd"):
        assert_one_line_error(check("old", option, "inf"), f"{option}: expected a finite number, got 'inf'")
    for p in ("0", "1"):
        assert_one_line_error(
            check("old", "--p", p), f"--p: expected a number above 0 and below 1, .* got {p}"
        )
    assert_one_line_error(check("old", "--format", "xml"), "unknown format 'xml'")


def test_options_change_the_verdict(flatqat, tmp_path, baseline):
    store_with(tmp_path / "now", {s: flipped(right, lost=40) for s, right in outcomes().items()})

    def code(*options):
        return flatqat("bench", "check", "--results", tmp_path / "now", "--baseline", baseline, *options).code

    assert code() == 0
    assert code("--retraining-sd", 0) == 1
    assert code("--retraining-sd", 0, "--max-drop", 2) == 0
    assert code("--evaluation-only") == 3


def test_what_failed_is_named_when_a_baseline_is_written(flatqat, tmp_path):
    store = store_with(tmp_path / "old", outcomes())
    store.write_record(Record(cell=replace(CELL, seed=1), status="failed", reason="nan\x1b[2J"))
    bare = replace(CELL, seed=2)
    store_with(tmp_path / "old", outcomes(), bare).outcomes_path(bare).unlink()
    done = flatqat("bench", "baseline", "--results", tmp_path / "old", "--output", tmp_path / "b.json")
    assert done.code == 0
    assert f"not in it: {replace(CELL, seed=1).label}: failed nan\\x1b[2J" in done.out
    lacking = f"expected its outcomes in {store.outcomes_path(bare)}, got none; restore the file, or run"
    assert f"not in it: {bare.label}: {lacking}" in done.out


@pytest.mark.parametrize("width", [80, 120])
def test_change_and_verdict_are_whole_whatever_the_width(flatqat, tmp_path, monkeypatch, width):
    monkeypatch.setattr(terminal, "PIPE_WIDTH", width)
    shifts = {**SHIFTS, "fog/1": shift_info("a-family-with-a-long-name", severity=1)}
    for folder, right in (("old", outcomes()), ("new", WORSE)):
        for cell in (LONG, replace(LONG, quant="w2a8@apot"), replace(CELL, suite="t")):
            store_with(tmp_path / folder, right, cell, shifts=shifts)
    flatqat("bench", "baseline", "--results", tmp_path / "old", "--output", tmp_path / "b.json")
    done = flatqat("bench", "check", "--results", tmp_path / "new", "--baseline", tmp_path / "b.json")
    assert done.code == 1
    assert max(map(len, done.out.splitlines())) <= width
    assert done.out.count(" -15.00 ") == done.out.count(" regressed ") == 12
    assert "…" not in done.out
    (heads,) = (line for line in done.out.splitlines() if " what " in line)
    column = "".join(line[: heads.index("what")] for line in done.out.splitlines())
    for part in ("coupling=elastic,", "strength=0.125)4·", "w2a8@apot·a-suite-with-a-long-name", "qat4·t"):
        assert part in "".join(column.split()), done.out


@pytest.mark.parametrize(
    ("width", "gone"),
    [(40, "before, now, catches, p"), (50, "before, now, catches"), (60, "catches"), (80, "")],
)
def test_a_narrow_terminal_keeps_labels_changes_and_verdicts(
    flatqat, tmp_path, baseline, monkeypatch, width, gone
):
    store_with(tmp_path / "new", WORSE)
    monkeypatch.setattr(verdicts, "terminal", terminal_of(width))
    lines = flatqat("bench", "check", "--results", tmp_path / "new", "--baseline", baseline).out.splitlines()
    assert max(map(len, lines)) <= width
    assert [line.split()[-1] for line in lines if "-15.00" in line] == ["regressed"] * 4
    assert [line[8:].split()[0] for line in lines if "-15.00" in line] == ["id", "ood", "blur", "weather"]
    left = [name for name in COLUMNS if name not in gone.split(", ")]
    assert any(line.split() == left for line in lines)
    assert (
        f"left out: {gone}; a wider terminal or a pipe has all" in " ".join(" ".join(lines).split())
    ) == bool(gone)


def test_what_differs_stands_above_the_verdict_and_what_is_not_known_is_said(flatqat, tmp_path, baseline):
    now = replace(CELL, plugins="b" * 12)
    store = store_with(tmp_path / "now", WORSE, now, env=environment(threads=2))
    store_with(store.root, outcomes(), replace(CELL, method="other"))
    done = flatqat("bench", "check", "--results", store.root, "--baseline", baseline)
    lines = done.out.splitlines()
    assert lines[:3] == [
        "s · m · recipe b",
        f"differs: code of its plugin files was edited: none → {'b' * 12} (qat 4)",
        "differs: threads 1 → 2 (qat 4)",
    ]
    assert lines[-1].startswith("REGRESSED")
    assert "* one seed on both sides: p is of images and of a scatter of 0.75 points" in done.out
    assert "in the results, not in the baseline: other 4" in done.out


def test_a_row_that_catches_nothing_is_explained(flatqat, tmp_path, baseline):
    store_with(tmp_path / "now", outcomes())
    args = ("bench", "check", "--results", tmp_path / "now", "--baseline", baseline)
    assert "-: not even the loss" not in flatqat(*args).out
    hopeless = " ".join(flatqat(*args, "--retraining-sd", "20").out.split())
    assert "-: even a drop to zero is found less often than that; such a row can hardly fail" in hopeless


@pytest.mark.parametrize(("only", "told"), [("id", "correction for 1 row"), ("*", "correction for 4 rows")])
def test_one_row_is_not_called_rows(flatqat, tmp_path, baseline, only, told):
    store_with(tmp_path / "now", outcomes())
    args = ("bench", "check", "--results", tmp_path / "now", "--baseline", baseline, "--only", only)
    assert told in [line.rpartition("after ")[2] for line in flatqat(*args).out.splitlines()]
    hidden = "1 row that is fine is not shown" if only == "id" else "4 rows that are fine are not shown"
    assert hidden in flatqat(*args, "--only-changed").out


def test_a_check_is_not_written_over_its_baseline_nor_where_it_cannot_be(flatqat, tmp_path, baseline):
    before = baseline.read_bytes()
    (tmp_path / "link.json").symlink_to(baseline)
    check = ("bench", "check", "--results", tmp_path / "old", "--baseline", baseline, "--format", "json")
    for output in (baseline, tmp_path / "link.json"):
        assert_one_line_error(
            flatqat(*check, "--output", output), "--output: expected another file than those"
        )
    said = "--output: expected a file that can be written, got .*: Not a directory; choose another"
    assert_one_line_error(flatqat(*check, "--output", baseline / "x.json"), said)
    made = ("bench", "baseline", "--results", tmp_path / "nowhere", "--output", baseline / "x.json")
    assert_one_line_error(flatqat(*made), said)  # before any result is read
    assert baseline.read_bytes() == before


def test_only_changed_rows(flatqat, tmp_path, baseline):
    store_with(tmp_path / "now", {**outcomes(), "id": WORSE["id"]})
    args = ("bench", "check", "--results", tmp_path / "now", "--baseline", baseline, "--only-changed")
    done = flatqat(*args)
    assert done.code == 1
    assert "3 rows that are fine are not shown" in done.out
    assert "weather" not in done.out
    assert "catches: the true drop" in done.out


def test_without_a_row_no_column_is_explained(flatqat, tmp_path, baseline):
    args = ("bench", "check", "--results", tmp_path / "old", "--baseline", baseline, "--only-changed")
    for more in ((), ("--format", "md")):
        done = flatqat(*args, *more)
        assert done.code == 0
        assert "catches" not in done.out
        assert "one seed on both sides" not in done.out


def test_outcomes_that_are_gone_are_said_to_be_gone(flatqat, tmp_path, baseline):
    store = store_with(tmp_path / "now", outcomes())
    file = store.outcomes_path(CELL)
    file.unlink()
    said = f"{file}: expected the outcomes of its record, got none"
    done = flatqat("bench", "check", "--results", store.root, "--baseline", baseline)
    assert done.code == 3
    assert "".join(said.split()) in "".join(done.out.split())
    assert said in flatqat("results", "check", store.root).out
    assert "other images" not in done.out


def test_a_baseline_of_another_suite_is_said_first(flatqat, tmp_path, baseline):
    store_with(tmp_path / "now", outcomes(), replace(CELL, suite="t"))
    done = flatqat("bench", "check", "--results", tmp_path / "now", "--baseline", baseline)
    assert done.code == 3
    assert done.out.splitlines()[0] == "the baseline is of s, these results are of t"


def test_json_has_everything(flatqat, tmp_path, baseline):
    store = store_with(tmp_path / "now", WORSE, replace(CELL, plugins="b" * 12))
    args = ("bench", "check", "--results", store.root, "--baseline", baseline, "--format", "json")
    done = flatqat(*args)
    found = json.loads(done.out)
    assert done.code == found["code"] == 1
    assert found["meaning"] == "REGRESSED"
    assert found["rules"]["max_drop"] == 0.5
    assert {v["verdict"] for v in found["verdicts"]} == {"regressed"}
    assert found["verdicts"][0]["change"] == -15
    assert list(found["differences"].values()) == [["qat 4"]]
    assert (found["missing"], found["extra"]) == ([], [])
    lost = flatqat(*args[:3], tmp_path / "old", *args[4:5], baseline, "--format", "json", "--evaluation-only")
    assert json.loads(lost.out)["missing"][0]["reason"].endswith("does not hold its weights")


def test_texts_of_a_stranger_steer_no_terminal(flatqat, tmp_path):
    cell = replace(CELL, method="[red]x", method_args=(("a", "\x1b[2J"),))
    store_with(tmp_path / "old", outcomes(), cell)
    flatqat("bench", "baseline", "--results", tmp_path / "old", "--output", tmp_path / "b.json")
    done = flatqat("bench", "check", "--results", tmp_path / "old", "--baseline", tmp_path / "b.json")
    assert done.code == 0
    assert "\x1b" not in done.out
    assert "[red]x(a=\\x1b[2J)" in done.out


def test_the_gate_loads_neither_torch_nor_pandas(tmp_path, baseline):
    code = (
        "import sys; from pathlib import Path; from flatqat.bench.gate.check import check\n"
        "from flatqat.bench.records.store import Store; import flatqat.commands.verdicts\n"
        "check(Store(Path(sys.argv[1])), Path(sys.argv[2]))\n"
        "assert not {'torch', 'pandas'} & set(sys.modules), sorted(sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "old"), str(baseline)]
    subprocess.run(command, check=True, env={**os.environ}, timeout=120)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--weights", "none.pt"), "weights none.pt: expected a readable file .* got none; check --weights"),
        (("--data-root", "/nowhere", "--pretrained"), "--data-root /nowhere: expected a folder with"),
        (("--weights", __file__, "--pretrained"), "--weights and --pretrained both name initial weights"),
    ],
)
def test_a_canary_with_wrong_options_is_no_lack_of_data(flatqat, tmp_path, options, said):
    model = "torchvision:resnet50.IMAGENET1K_V1"
    done = flatqat("bench", "canary", "--model", model, "--results", tmp_path / "r", *options)
    assert_one_line_error(done, said)
