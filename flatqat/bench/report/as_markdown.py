"""A table as Markdown."""

from collections.abc import Sequence

from flatqat.bench.records.escape import markdown
from flatqat.bench.report.shown import Shown


def as_markdown(title: str, problems: Sequence[str], protocol: str, shown: Shown | None) -> str:
    """Return a section: its title, the cells that failed, and the table with its notes, if it has rows."""
    lines = [f"### {markdown(title)}", "", *map(markdown, problems)]
    if shown:
        lines += [_table(shown), "", " ".join([f"{markdown(protocol)}.", *_notes(shown)])]
    return "\n".join(lines) + "\n"


def _table(shown: Shown) -> str:
    from tabulate import tabulate

    header = [_literal(markdown(name.replace("\n", " "))) for name in shown.header]
    rows = [
        [*(_literal(markdown(text)) for text in row[: shown.labels]), *map(markdown, row[shown.labels :])]
        for row in shown.rows
    ]
    aligned = ["left"] * shown.labels + ["right"] * (len(header) - shown.labels)
    return str(tabulate(rows, header, tablefmt="pipe", disable_numparse=True, colalign=aligned))


def _notes(shown: Shown) -> list[str]:
    return [_literal(markdown(note)) for note in (*shown.notes, *shown.definitions.values())]


def _literal(text: str) -> str:
    """Return text with the stars of layer patterns escaped, which are emphasis in Markdown."""
    return text.replace("*", r"\*")
