"""A table as LaTeX, for the package booktabs."""

import re
from collections.abc import Collection, Sequence

from flatqat.bench.records.escape import latex
from flatqat.bench.report.shown import Shown
from flatqat.console.printable import printable

SYMBOLS = {
    "λmax": r"$\lambda_{\max}$",
    "±": r"$\pm$",
    "†": r"\dag{}",
    "‡": r"\ddag{}",
    "§": r"\S{}",
    "−": r"$-$",
    "×": r"$\times$",
}
PREAMBLE = r"% needs \usepackage{booktabs}"
MOST_COLUMNS = 8  # that a page has room for, in most classes of documents


def as_latex(title: str, problems: Sequence[str], protocol: str, shown: Shown | None) -> str:
    """Return a float with the table, and below it the protocol and notes; failed cells are comments."""
    lines = [f"% {printable(line)}" for line in problems]
    if shown:
        many = len(shown.header)
        columns = "l" * shown.labels + "r" * (many - shown.labels)
        notes = [f"{protocol}.", *shown.said(), *shown.definitions.values()]
        lines += [
            PREAMBLE,
            *([f"% {many} columns: choose with --columns"] if many > MOST_COLUMNS else []),
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_text(title)}}}",
            rf"\label{{tab:{_label(title)}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            _row([name.replace("\n", " ") for name in shown.header], many),
            r"\midrule",
            *(
                _row(row, shown.labels, {column for at, column in shown.strong if at == number})
                for number, row in enumerate(shown.rows)
            ),
            r"\bottomrule",
            r"\end{tabular}",
            "",
            r"\smallskip",
            r"\begin{minipage}{\linewidth}\footnotesize",
            *map(_text, notes),
            r"\end{minipage}",
            r"\end{table}",
        ]
    return "\n".join(lines) + "\n"


def _row(texts: Sequence[str], labels: int, strong: Collection[int] = ()) -> str:
    cells = [*map(_text, texts[:labels]), *map(_number, texts[labels:])]
    return " & ".join(_bold(cell) if place in strong else cell for place, cell in enumerate(cells)) + r" \\"


def _bold(cell: str) -> str:
    """Return a cell in bold, signs included."""
    return rf"\textbf{{\boldmath {cell}}}" if "$" in cell else rf"\textbf{{{cell}}}"


def _number(text: str) -> str:
    """Return a cell with minus signs before digits, where a text has hyphens, and a dash if it is missing."""
    return "--" if text == "-" else _text(re.sub(r"(?<![\w.])-(?=\d)", "−", text))


def _text(text: str) -> str:
    text = latex(text)
    for symbol, command in SYMBOLS.items():
        text = text.replace(symbol, command)
    return text


def _label(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
