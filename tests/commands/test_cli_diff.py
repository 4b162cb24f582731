"""`flatqat bench diff`: what it prints and writes."""

import csv
import io
import json
import subprocess
import sys
from dataclasses import replace

import pytest

from flatqat.console import terminal
from flatqat.console.rounded import with_interval
from tests.helpers import RESULTS
from tests.helpers.command_line import assert_one_line_error, terminal_of
from tests.helpers.gate_records import CELL, SHIFTS, outcomes, store_with
from tests.helpers.records import shift_info

ROWS = ("bench", "diff", "qat", "anchor", "--results", RESULTS / "first-look")


def test_a_table_names_both_sides_and_has_an_interval_for_each_row(flatqat):
    done = flatqat(*ROWS)
    lines = done.out.splitlines()
    assert done.code == 0
    assert lines[:3] == ["A: qat", "B: anchor", "digits-c v3 · tiny · recipe default"]
    assert " qat 4 → anchor 4  id       97.56  96.89  -0.67 [-2.13, +0.79]   0.82 " in lines
    assert lines[-1] == "B - A: points, paired by image; p: after Holm's correction over 6 rows"


def test_all_formats_have_the_same_numbers(flatqat, tmp_path):
    table = flatqat(*ROWS, "--by", "shift").out
    found = json.loads(flatqat(*ROWS, "--by", "shift", "--format", "json").out)
    (part,) = found["parts"]
    rows = list(csv.DictReader(io.StringIO(flatqat(*ROWS, "--by", "shift", "--format", "csv").out)))
    markdown = flatqat(*ROWS, "--by", "shift", "--format", "md").out
    assert len(rows) == len(part["rows"]) == markdown.count("| qat 4 → anchor 4 |") == 72
    for row, plain in zip(rows, part["rows"], strict=True):
        assert row.keys() == plain.keys()
        interval = with_interval(plain["difference"], plain["low"], plain["high"], "+.2f")
        assert interval in table
        assert interval in markdown
        for name in ("a", "b", "difference", "low", "high", "p"):
            assert float(row[name]) == pytest.approx(plain[name], rel=1e-5)  # CSV has six digits
    for form in ("md", "csv", "json"):
        assert flatqat(*ROWS, "--format", form, "--output", tmp_path / "out").out == ""
        assert (tmp_path / "out").read_text() == flatqat(*ROWS, "--format", form).out
    flatqat(*ROWS, "--output", tmp_path / "out")
    assert (tmp_path / "out").read_text() == flatqat(*ROWS, "--format", "md").out


def test_what_is_not_compared_stands_below_and_alone_it_exits_3(flatqat, tmp_path):
    for name in ("sam", "ema"):
        store_with(tmp_path / "a", outcomes(), replace(CELL, method=name))
    store_with(tmp_path / "b", outcomes())
    done = flatqat("bench", "diff", tmp_path / "a", tmp_path / "b")
    assert done.code == 3
    assert "not compared: qat 4 · s · m · recipe b: not in A" in done.out
    store_with(tmp_path / "a", outcomes(1))
    done = flatqat("bench", "diff", tmp_path / "a", tmp_path / "b")
    assert done.code == 0
    assert "* one seed on both sides: over images, for these trainings alone" in done.out
    assert f"not compared: ema 4, sam 4: not in B ({tmp_path / 'b'})" in done.out.replace("\n", " ")


def test_a_seed_without_outcomes_is_named(flatqat, tmp_path):
    for method in ("qat", "sam"):
        for seed in (0, 1):
            store = store_with(tmp_path, outcomes(seed), replace(CELL, method=method, seed=seed))
    lacking = store.outcomes_path(replace(CELL, method="sam", seed=1))
    lacking.unlink()
    (part,) = json.loads(
        flatqat("bench", "diff", "qat", "sam", "--results", tmp_path, "--format", "json").out
    )["parts"]
    assert {row["seeds_a"] for row in part["rows"]} == {1}
    (missing,) = part["missing"]
    assert missing["cell"] == "qat 4 → sam 4"
    assert missing["reason"] == f"seed 1: the outcomes of images are not stored: {lacking}"


def test_a_method_names_its_rows_with_settings(flatqat, tmp_path):
    anchored = replace(CELL, method="anchor", method_args=(("coupling", "elastic"),))
    for cell in (CELL, anchored):
        store_with(tmp_path, outcomes(), cell)
    for name in ("anchor", "anchor 4"):
        done = flatqat("bench", "diff", "qat", name, "--results", tmp_path)
        assert done.code == 0, done.err
        assert "qat 4 → anchor(coupling=elastic) 4" in done.out


def test_the_interval_is_whole_at_80_columns(flatqat, tmp_path, monkeypatch):
    monkeypatch.setattr(terminal, "PIPE_WIDTH", 80)
    shifts = {**SHIFTS, "fog/1": shift_info("a-family-with-a-long-name", severity=1)}
    cell = replace(CELL, method="a-method-with-a-long-name", method_args=(("coupling", "elastic"),))
    for place, name in enumerate("ab"):
        store_with(tmp_path / name, outcomes(place), cell, shifts=shifts)
        store_with(tmp_path / name, outcomes(place), shifts=shifts)
    done = flatqat("bench", "diff", tmp_path / "a", tmp_path / "b")
    assert max(map(len, done.out.splitlines()[2:])) <= 80
    assert "…" not in done.out
    assert done.out.count("]") == 1 + 8


@pytest.mark.parametrize(("width", "gone"), [(40, "A, B, p"), (50, "A, B"), (80, "")])
def test_a_narrow_terminal_keeps_labels_and_differences(flatqat, monkeypatch, width, gone):
    monkeypatch.setattr(terminal, "terminal", terminal_of(width))
    text = flatqat(*ROWS).out
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    words = text.split()
    assert {"-0.67", "[-2.13,", "+0.79]"} <= set(words)
    assert {"id", "ood", "weather", "digital", "blur", "noise"} <= set(words)
    assert "…" not in text
    assert (f"left out: {gone}; a wider terminal" in " ".join(lines)) == bool(gone)


def test_texts_of_a_stranger_are_texts(flatqat, tmp_path):
    cell = replace(CELL, method="=[red]x|<b>", method_args=(("a", "\x1b[2J"),))
    for name in "ab":
        store_with(tmp_path / name, outcomes(), cell)
        store_with(tmp_path / name, outcomes())
    for form in ("table", "md", "csv"):
        done = flatqat("bench", "diff", tmp_path / "a", tmp_path / "b", "--format", form)
        assert done.code == 0
        assert "\x1b" not in done.out
    assert "'=[red]x|<b>" in done.out


def test_mistakes_are_one_line(flatqat, tmp_path):
    assert_one_line_error(flatqat(*ROWS, "--format", "xml"), "unknown format 'xml'")
    assert_one_line_error(
        flatqat(*ROWS, "--by", "method"), "unknown value of --by 'method': expected one of family, shift"
    )
    assert_one_line_error(flatqat("bench", "diff", "qat", "nix", *ROWS[4:]), "unknown folder, or row of ")


def test_a_diff_loads_neither_torch_nor_pandas():
    code = (
        "import sys; from pathlib import Path; from flatqat.bench.diff.sides import diff\n"
        "from flatqat.bench.diff.as_text import as_csv, as_json; import flatqat.commands.diff\n"
        "assert as_json(diff('qat', 'anchor', Path(sys.argv[1])))\n"
        "assert not {'torch', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, RESULTS / "first-look"], check=True, timeout=120)
