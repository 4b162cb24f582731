"""The check of the gate for GitHub Actions: annotations on the run, and the summary of the job.

GitHub shows ten annotations of a level for each step. So rows of a cell share one, and the last one says how
many there would be more.
"""

import os
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from flatqat.bench.gate.as_markdown import as_markdown
from flatqat.bench.gate.check import Checked
from flatqat.bench.gate.compare import Rules
from flatqat.bench.gate.wording import conclusion, sentence
from flatqat.console.printable import printable
from flatqat.errors import StoreError
from flatqat.exit_codes import OK

TITLE = "flatqat bench check"
MOST_SHOWN = 10
MOST_BYTES = 2**20  # of the summary of a step; a longer one is lost
ACTIONS, SUMMARY = "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"
Annotation = tuple[str, str, list[str]]
"""The level, the title and the lines of an annotation."""


def in_actions() -> bool:
    """Whether this is a job of GitHub Actions."""
    return os.environ.get(ACTIONS) == "true"


def annotations(checked: Checked, rules: Rules) -> list[str]:
    """Return a check as workflow commands, one on each line of the log; the verdict comes first."""
    by_level: dict[str, list[Annotation]] = {}
    for annotation in _annotations(checked, rules):
        by_level.setdefault(annotation[0], []).append(annotation)
    shown: list[Annotation] = []
    for level, found in by_level.items():
        if len(found) > MOST_SHOWN:
            rest = [f"and {len(found) - MOST_SHOWN + 1} more; the table has all"]
            found = [*found[: MOST_SHOWN - 1], (level, TITLE, rest)]
        shown += found
    return [_command(*annotation) for annotation in shown]


def append_summary(checked: Checked, rules: Rules, only_changed: bool) -> None:
    """Append a check to the summary of the job, where there is one. Raises StoreError if that fails."""
    if not (path := os.environ.get(SUMMARY)):
        return
    text = as_markdown(checked, rules, only_changed=only_changed, most=MOST_BYTES)
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")
    except OSError as error:
        raise StoreError(f"cannot write {path}, the file that {SUMMARY} names: {error.strerror}") from error


def _annotations(checked: Checked, rules: Rules) -> Iterator[Annotation]:
    levels = {
        "regressed": "error",
        "undecided": "warning",
        "improved": "error" if rules.two_sided else "notice",
    }
    yield "notice" if checked.code == OK else "error", TITLE, [conclusion(checked, rules)]
    for cell, reason in checked.missing:
        yield "error", f"{cell}: not compared", [reason]
    changed = [v for v in checked.verdicts if v.verdict in levels]
    for (cell, verdict), rows in groupby(
        sorted(changed, key=lambda v: (v.cell, v.verdict)), key=lambda v: (v.cell, v.verdict)
    ):
        yield levels[verdict], f"{cell}: {verdict}", [*map(sentence, rows)]


def _command(level: str, title: str, lines: list[str]) -> str:
    """Return a workflow command; GitHub reads %25, %0A, and in properties %3A and %2C, as %, LF, : and ,."""
    message = "%0A".join(printable(line).replace("%", "%25") for line in lines)
    name = printable(title).replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
    return f"::{level} title={name}::{message}"
