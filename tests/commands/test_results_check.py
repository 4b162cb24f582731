"""`flatqat results check`: what is wrong, a line each, and the rows of the report."""

import json
import re
import shutil
import subprocess
import sys

from flatqat.commands import checked
from flatqat.console.terminal import terminal
from tests.helpers import RESULTS
from tests.helpers.command_line import assert_one_line_error


def test_right_results_have_the_rows_of_the_report(flatqat):
    done = flatqat("results", "check", RESULTS / "first-look")
    report = flatqat("bench", "report", "--results", RESULTS / "first-look")
    assert done.code == 0
    *rows, last = done.out.splitlines()
    assert rows == report.out.splitlines()
    scores = "648 scores computed again from the outcomes of images"
    assert last == f"OK: 9 records, their ids, fingerprints and hashes; {scores}"


def test_the_last_line_wraps_between_words_on_a_terminal(capsys, monkeypatch):
    """A terminal itself would break it within a word; a pipe has it on one line."""
    monkeypatch.setattr(checked, "terminal", lambda: terminal(force_terminal=True, no_color=True, width=60))
    assert checked.print_checked(RESULTS / "first-look") == 0
    text = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    last = text[text.index("OK: ") :].splitlines()
    assert len(last) > 1
    assert max(map(len, last)) <= 60


def test_older_records_without_a_hash_are_counted(flatqat):
    done = flatqat("results", "check", RESULTS / "first-study")
    assert done.code == 0
    assert "\nOK: 63 records, their ids, fingerprints and hashes (which 63 older ones lack); " in done.out


def test_wrong_results_exit_1_and_the_others_are_shown(flatqat, tmp_path):
    folder = tmp_path / "r"
    shutil.copytree(RESULTS / "first-look", folder)
    path = next(folder.glob("records/*/tiny-anchor-4-s0-*.json"))
    path.write_text(path.read_text().replace('"stderr": 1', '"stderr": 2', 1))
    done = flatqat("results", "check", folder)
    assert done.code == 1
    first, *_, last = done.out.splitlines()
    assert first.startswith(f"{path}: scores.")
    assert last.startswith("WRONG: 1 problem; 8 records without any; ")
    assert " anchor  4         2†" in done.out or " anchor  4         2 " in done.out


def test_texts_of_a_stranger_steer_no_terminal(flatqat, tmp_path):
    (tmp_path / "records" / "s").mkdir(parents=True)
    (tmp_path / "records" / "s" / "[red]\x1b[2J.json").touch()
    done = flatqat("results", "check", tmp_path)
    assert done.code == 1
    assert "\x1b" not in done.out
    assert "[red]" in done.out


def test_no_folder(flatqat, tmp_path):
    assert_one_line_error(flatqat("results", "check", tmp_path / "none"), "expected a folder, found none")


def test_checking_loads_no_torch():
    code = (
        "import sys; from flatqat.commands.checked import print_checked; from pathlib import Path\n"
        "assert print_checked(Path(sys.argv[1])) == 0\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, RESULTS / "first-look"], check=True, timeout=120)


def test_shifts_that_were_taken_out_of_the_mean_are_found(flatqat, tmp_path):
    """Otherwise OOD would be the mean over those that a submitter likes."""
    folder = tmp_path / "r"
    shutil.copytree(RESULTS / "first-look", folder)
    path = next(folder.glob("records/*/tiny-qat-4-s0-*.json"))
    data = json.loads(path.read_text())
    data["protocol"]["shifts"]["fog/5"]["in_mean"] = False
    path.write_text(json.dumps(data))
    done = flatqat("results", "check", folder)
    assert done.code == 1
    assert "protocol.shifts.fog/5: expected" in done.out
