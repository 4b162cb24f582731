"""A part of the second study's page."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tabulate import tabulate


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


def p_in_table(p: float) -> str:
    """Return a p-value in thousandths."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def p_in_words(p: float) -> str:
    """Return what follows `p` in a sentence: `= 0.012`, or `< 0.001`."""
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"
