"""A table as Markdown."""

from collections.abc import Sequence

from flatqat.bench.records.escape import literal_cell, markdown
from flatqat.bench.report.shown import Shown


def as_markdown(title: str, problems: Sequence[str], protocol: str, shown: Shown | None) -> str:
    """Return a section: its title, the cells that failed, and the table with its notes, if it has rows."""
    lines = [f"### {markdown(title)}", "", *(f"- {markdown(problem)}" for problem in problems)]
    if shown:
        lines += [""] * bool(problems)
        lines += [_table(shown), "", " ".join([f"{markdown(protocol)}.", *_notes(shown)])]
    return "\n".join(lines) + "\n"


def _table(shown: Shown) -> str:
    from tabulate import tabulate

    header = [literal_cell(name.replace("\n", " ")) for name in shown.header]
    rows = [
        [*(literal_cell(text) for text in row[: shown.labels]), *map(markdown, row[shown.labels :])]
        for row in shown.rows
    ]
    aligned = ["left"] * shown.labels + ["right"] * (len(header) - shown.labels)
    return str(tabulate(rows, header, tablefmt="pipe", disable_numparse=True, colalign=aligned))


def _notes(shown: Shown) -> list[str]:
    return [literal_cell(note) for note in (*shown.said(), *shown.definitions.values())]
