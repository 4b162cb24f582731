"""The check of the gate in the form that was asked for, on the terminal or in a file."""

from collections.abc import Callable
from pathlib import Path

import typer

from flatqat.bench.gate.as_data import as_json
from flatqat.bench.gate.as_github import annotations, append_summary, in_actions
from flatqat.bench.gate.as_junit import as_junit
from flatqat.bench.gate.as_markdown import as_markdown
from flatqat.bench.gate.check import Checked
from flatqat.bench.gate.compare import Rules
from flatqat.bench.gate.wording import COLUMNS, beside, conclusion, differing, notes, numbers
from flatqat.bench.records.files import write_output
from flatqat.commands.written import say_written
from flatqat.console.grouped import print_grouped
from flatqat.console.printable import printable
from flatqat.console.terminal import terminal
from flatqat.errors import UsageError, choose, counted

MOST_BYTES = 2**16  # of a comment on GitHub and the text of a pull request, which take as many characters
FILES: dict[str, Callable[[Checked, Rules, bool], str]] = {
    "json": lambda checked, rules, _: as_json(checked, rules),
    "junit": lambda checked, rules, _: as_junit(checked, rules),
    "md": lambda checked, rules, only_changed: as_markdown(
        checked, rules, only_changed=only_changed, most=MOST_BYTES
    ),
}
"""The formats that are files, and what makes their texts."""
FORMATS = ("table", "github", *FILES)
STYLES = {"regressed": "bold red", "improved": "green"}
DISPENSABLE = (("catches",), ("before", "now"), ("p",))
"""Columns that a terminal goes without where it is too narrow, in this order."""


def check_form(form: str, output: Path | None) -> str:
    """Return the format called `form`. Raises UsageError if there is none, or if it is no file's."""
    known = choose("format", form, FORMATS)
    if output is not None and known not in FILES:
        raise UsageError(f"--output: expected --format {', '.join(FILES)} with it, got {known}")
    return known


def print_check(checked: Checked, rules: Rules, form: str, output: Path | None, only_changed: bool) -> None:
    """Print or write a check. In GitHub Actions, annotations and the job's summary go with the table."""
    if output is not None:
        write_output(output, FILES[form](checked, rules, only_changed).encode())
        say_written(output)
    elif form in FILES:
        typer.echo(FILES[form](checked, rules, only_changed), nl=False)
        return
    if form != "github":
        show_check(checked, rules, only_changed)
    if form == "github" or in_actions():
        for line in annotations(checked, rules):
            typer.echo(line)
        append_summary(checked, rules, only_changed)


def show_check(checked: Checked, rules: Rules, only_changed: bool) -> None:
    """Print a check: what differs besides the numbers stands first, the verdict last."""
    console = terminal()

    def say(text: str, style: str | None = None) -> None:
        console.print(printable(text), style=style)

    if checked.title:
        say(checked.title, "bold")
    for text in differing(checked):
        say(text)
    shown = [v for v in checked.verdicts if v.verdict != "ok" or not only_changed]
    if shown:
        rows = [(v.cell, v.what, *numbers(v, rules), v.verdict) for v in shown]
        styles = [STYLES.get(v.verdict, "") for v in shown]
        print_grouped(COLUMNS, rows, console, DISPENSABLE, styles)
    if hidden := len(checked.verdicts) - len(shown):
        be = "is" if hidden == 1 else "are"
        say(f"{counted(hidden, 'row')} that {be} fine {be} not shown")
    for note in notes(checked, rules, table=bool(shown)):
        say(note, "dim")
    for text in beside(checked):
        say(text)
    for cell, reason in checked.missing:
        say(f"not compared: {cell}: {reason}", "bold red")
    say(conclusion(checked, rules))
