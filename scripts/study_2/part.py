"""A part of the second study's page."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tabulate import tabulate

from flatqat.console.rounded import p_value

LEVEL = 0.05  # of every test but the looks at the anchor, which have their own


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one part of the plan found: sentences for the top of the page, and its own lines below a title.

    `lacks` names what of the part is not there yet.
    """

    title: str
    found: Sequence[str]
    lines: Sequence[str]
    lacks: Sequence[str] = ()


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    return str(tabulate([*map(list, rows)], list(header), tablefmt="pipe", disable_numparse=True))


def lacking(missing: int, planned: int, what: str) -> list[str]:
    """Return `3 of 12 rows` as what a part lacks; empty if nothing is missing."""
    return [f"{missing} of {planned} {what}"] if missing else []


def p_cell(p: float | None) -> str:
    """Return p for a table; `not yet` before all planned seeds are there, when nothing is tested."""
    return "not yet" if p is None else p_value(p)


def p_in_words(p: float) -> str:
    """Return what follows `p` in a sentence: `= 0.012`, or `< 0.001`."""
    text = p_value(p)
    return text.replace("<", "< ") if text.startswith("<") else f"= {text}"
