"""Texts of records made safe for each format: a record may come from a stranger."""

import re
from collections.abc import Iterable
from math import isfinite

from flatqat.console.printable import printable

LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "·": r"\textperiodcentered{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "-": "-{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}
FORMULA = tuple("=+-@＝＋－＠")  # a cell that begins with one of these is code to a spreadsheet


def markdown(text: str) -> str:
    """Return text for a table cell of Markdown, without raw HTML and links."""
    return markdown_line(text).replace("|", r"\|")


def markdown_line(text: str, links: Iterable[str] = ()) -> str:
    """Return a line of Markdown without raw HTML, and without links and pictures other than `links`."""
    text = re.sub(r"<(?=[A-Za-z/!?])", "&lt;", printable(text))
    text = re.sub(r"^(\s*)\[(?=[^\]]*\]:)", r"\1\[", text)  # defines a link
    own = "".join(rf"(?!{re.escape(link)}\))" for link in links)
    return re.sub(rf"\]\({own}", r"]\(", text)


def literal_cell(text: str) -> str:
    """Return text for a table cell of Markdown in which the stars of layer patterns are no emphasis."""
    return markdown(text).replace("*", r"\*")


def literal_line(text: str) -> str:
    """Return a line of Markdown in which the stars of layer patterns are no emphasis."""
    return markdown_line(text).replace("*", r"\*")


def latex(text: str) -> str:
    """Return text for LaTeX, without commands and without dashes made of hyphens."""
    return re.sub(r"[\\~^·<>|&%$#_{}]|-(?=-)", lambda match: LATEX[match[0]], printable(text))


def csv_number(value: float | None) -> str:
    """Return a number for a cell of CSV, six digits of a fraction; nothing for one that is not defined."""
    if value is None or not isfinite(value):
        return ""
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def csv(text: str) -> str:
    """Return text for a cell of CSV, without formulas."""
    text = printable(text)
    return f"'{text}" if text.lstrip().startswith(FORMULA) else text
