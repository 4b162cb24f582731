"""`flatqat bench check` in GitHub Actions, as Markdown, into a file, and of a part of the baseline."""

import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from flatqat.bench.gate import as_github
from flatqat.bench.gate.as_markdown import SHORTENED
from flatqat.bench.records.store import Store
from flatqat.commands import verdicts
from flatqat.spec import Record
from tests.helpers.command_line import assert_one_line_error
from tests.helpers.gate_records import CELL, flipped, outcomes, store_with

ODD = replace(CELL, method="a,b: 100%")
SAM = replace(CELL, method="sam")
WORSE = {shift: flipped(right, lost=300) for shift, right in outcomes().items()}
COMMAND = re.compile(r"::(error|warning|notice) title=([^:,]*)::(.*)")


@pytest.fixture
def check(flatqat, tmp_path):
    """Run the check: `qat 4` is worse, `a,b: 100% 4` has improved on fog alone, `sam 4` has failed."""
    for cell in (CELL, ODD, SAM):
        store_with(tmp_path / "old", outcomes(), cell)
    store_with(tmp_path / "new", WORSE)
    store_with(tmp_path / "new", {**outcomes(), "fog/1": flipped(outcomes()["fog/1"], won=300)}, ODD)
    Store(tmp_path / "new").write_record(Record(cell=SAM, status="failed", reason="50% nan"))
    file = tmp_path / "b.json"
    flatqat("bench", "baseline", "--results", tmp_path / "old", "--output", file)
    return lambda *options, now="new": flatqat(
        "bench", "check", "--baseline", file, "--results", tmp_path / now, *options
    )


def unescaped(text: str) -> str:
    for code, character in (("%3A", ":"), ("%2C", ","), ("%0A", "\n"), ("%25", "%")):
        text = text.replace(code, character)
    return text


def annotations(text: str) -> list[tuple[str, str, str]]:
    found = [COMMAND.fullmatch(line) for line in text.splitlines() if line.startswith("::")]
    return [(match[1], unescaped(match[2]), unescaped(match[3])) for match in found]


def test_annotations_are_the_verdicts_with_what_github_reads_escaped(check):
    done = check("--format", "github")
    found = annotations(done.out)
    assert done.code == 1
    assert len(found) == len(done.out.splitlines()) == 4
    assert [(level, title) for level, title, _ in found] == [
        ("error", "flatqat bench check"),
        ("error", "sam 4: not compared"),
        ("error", "qat 4: regressed"),
        ("notice", "a,b: 100% 4: improved"),
    ]
    assert found[0][2].startswith("REGRESSED (tolerance 0.5 points")
    assert found[1][2] == "seed 0 failed: 50% nan"
    rows = found[2][2].splitlines()
    assert [row.partition(":")[0] for row in rows] == ["id", "ood", "blur", "weather"]
    assert rows[0].startswith("id: 79.40 → 64.40 (-15.00 points, p ")
    assert "::notice title=a%2Cb%3A 100%25 4%3A improved::" in done.out
    assert "::error title=sam 4%3A not compared::seed 0 failed: 50%25 nan\n" in done.out
    assert ("error", "a,b: 100% 4: improved") in [
        note[:2] for note in annotations(check("--format", "github", "--two-sided").out)
    ]


@pytest.mark.parametrize("now", ["new", "old"])
def test_in_github_actions_annotations_and_the_summary_go_with_the_table(check, tmp_path, monkeypatch, now):
    plain = check(now=now)
    assert annotations(plain.out) == []
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    (tmp_path / "summary.md").write_text("# Before\n")
    done = check(now=now)
    assert done.code == plain.code == (1 if now == "new" else 0)
    assert done.out.startswith(plain.out)
    levels = {level for level, *_ in annotations(done.out)}
    assert levels == ({"error", "notice"} if now == "new" else {"notice"})
    summary = (tmp_path / "summary.md").read_text()
    assert summary.startswith("# Before\n")
    assert summary.rstrip().endswith(check("--format", "md", now=now).out.rstrip())
    assert json.loads(check("--format", "json", now=now).out)["code"] == done.code


def test_a_summary_that_cannot_be_written_is_one_line(check, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "none" / "summary.md"))
    done = check("--format", "github")
    assert_one_line_error(done, "cannot write .*summary.md, the file that GITHUB_STEP_SUMMARY names")


def test_a_summary_that_github_would_not_take_has_the_changed_rows_alone(check, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    whole = check("--format", "md").out
    monkeypatch.setattr(as_github, "MOST_BYTES", len(whole.encode()) - 1)
    check("--format", "github")
    short = check("--format", "md", "--only-changed").out
    assert short.endswith("Not shown: 2 rows that are fine.\n")
    assert (tmp_path / "summary.md").read_text() == f"{short}{SHORTENED}\n"


def test_a_comment_that_github_would_not_take_is_shortened_at_the_end_of_a_line(check, monkeypatch):
    """Where the rows that changed are too many by themselves, too."""
    short = check("--format", "md", "--only-changed").out
    monkeypatch.setattr(verdicts, "MOST_BYTES", 800)
    text = check("--format", "md").out
    kept = text.removesuffix(SHORTENED)
    assert len(text.encode()) <= 800
    assert kept != text
    assert short.startswith(kept)
    assert kept.endswith("|\n")


def test_of_more_annotations_than_github_shows_the_last_says_how_many(check, monkeypatch):
    monkeypatch.setattr(as_github, "MOST_SHOWN", 2)
    found = annotations(check("--format", "github").out)
    assert [(level, title) for level, title, _ in found] == [
        ("error", "flatqat bench check"),
        ("error", "flatqat bench check"),
        ("notice", "a,b: 100% 4: improved"),
    ]
    assert found[1][2] == "and 2 more; the table has all"


def test_markdown_has_the_verdict_then_what_changed_and_the_rest_behind_a_fold(check):
    text = check("--format", "md").out
    lines = text.splitlines()
    assert lines[0].startswith("### REGRESSED (tolerance 0.5 points")
    changed, fine = text.split("<details>\n<summary>2 rows that are fine</summary>\n\n| cell")
    assert changed.count("| regressed |") == 4
    assert changed.count("| improved  |") == 2
    assert changed.index("regressed |") < changed.index("improved  |")
    assert "- not compared: sam 4: seed 0 failed: 50% nan" in changed
    assert fine.count("| ok        |") == 2
    assert fine.endswith("\n\n</details>\n")
    short = check("--format", "md", "--only-changed").out
    assert "<details>" not in short
    assert short.endswith("Not shown: 2 rows that are fine.\n")
    assert text.startswith(short.partition("Not shown")[0])
    by_chance = check("--format", "md", "--only-changed", "--retraining-sd", "20").out
    assert by_chance.count("| undecided |") == 4


def test_markdown_has_names_of_strangers_as_they_are(flatqat, tmp_path):
    store_with(tmp_path / "old", outcomes(), replace(CELL, method="a|<b>"))
    flatqat("bench", "baseline", "--results", tmp_path / "old", "--output", tmp_path / "b.json")
    args = ("bench", "check", "--results", tmp_path / "old", "--baseline", tmp_path / "b.json")
    rows = [
        line for line in flatqat(*args, "--format", "md").out.splitlines() if line.endswith("| ok        |")
    ]
    assert len(rows) == 4
    for row in rows:
        assert "<b>" not in row
        assert len(re.findall(r"(?<!\\)\|", row)) == 9


def test_a_file_is_written_beside_the_table(check, tmp_path):
    for form in ("junit", "md", "json"):
        done = check("--format", form, "--output", tmp_path / "out")
        assert (done.code, done.out) == (1, check().out)
        text = (tmp_path / "out").read_text()
        shown = check("--format", form).out
        times = re.compile(r'timestamp="[^"]*"')
        assert times.sub("", text) == times.sub("", shown)
    ElementTree.fromstring(check("--format", "junit").out.encode())
    for form in ("table", "github"):
        wrong = check("--format", form, "--output", tmp_path / "not")
        assert_one_line_error(wrong, f"--output: expected --format json, junit, md with it, got {form}")
    assert not (tmp_path / "not").exists()
    wrong = check("--format", "md", "--output", tmp_path / "out" / "x")
    assert_one_line_error(wrong, "--output: expected a file that can be written, got .*: Not a directory")


@pytest.mark.parametrize(
    ("only", "code", "rows", "missing"),
    [
        (["a,b*"], 0, {("a,b: 100% 4", w) for w in ("id", "ood", "blur", "weather")}, set()),
        (
            ["a,b* id", "*blur"],
            1,
            {("a,b: 100% 4", "id"), ("a,b: 100% 4", "blur"), ("qat 4", "blur")},
            {"sam 4"},
        ),
        ([f"m-qat-4-s0-{CELL.id}"], 1, {("qat 4", w) for w in ("id", "ood", "blur", "weather")}, set()),
        (["sam*"], 3, set(), {"sam 4"}),
        (["sam* ood", "a,b* ood"], 3, {("a,b: 100% 4", "ood")}, {"sam 4"}),
    ],
)
def test_only_a_part_is_checked(check, only, code, rows, missing):
    options = [word for pattern in only for word in ("--only", pattern)]
    done = check("--format", "json", *options)
    found = json.loads(done.out)
    assert done.code == found["code"] == code
    assert {(v["cell"], v["what"]) for v in found["verdicts"]} == rows
    assert {m["cell"] for m in found["missing"]} == missing


def test_holms_correction_is_over_the_rows_that_are_checked(check):
    one = json.loads(check("--format", "json", "--only", "qat 4 id", "--retraining-sd", "6").out)["verdicts"][
        0
    ]
    every = json.loads(check("--format", "json", "--retraining-sd", "6").out)["verdicts"]
    same = next(v for v in every if (v["cell"], v["what"]) == ("qat 4", "id"))
    assert one["p"] < same["p"]
    assert one["before"] == same["before"]


def test_a_pattern_that_names_nothing_is_an_error_with_the_choices(check):
    done = check("--only", "qat*", "--only", "qta 4")
    assert_one_line_error(
        done, "unknown cell or row 'qta 4': expected one of .*blur, id, ood, qat 4, sam 4, weather"
    )
    assert "did you mean 'qat 4'?" in done.err
