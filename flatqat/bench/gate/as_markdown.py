"""The check of the gate as Markdown, for a comment on a pull request and for the summary of a job."""

from collections.abc import Sequence

from flatqat.bench.gate.check import Checked
from flatqat.bench.gate.compare import Rules, Verdict
from flatqat.bench.gate.wording import COLUMNS, beside, conclusion, differing, notes, numbers
from flatqat.bench.records.escape import literal_cell, literal_line
from flatqat.errors import counted

CHANGED = ("regressed", "undecided", "improved")
TEXTS = ("cell", "what", "verdict")
SHORTENED = "\nShortened, since GitHub takes no longer text: `--format json` has everything.\n"


def as_markdown(checked: Checked, rules: Rules, *, only_changed: bool, most: int) -> str:
    """Return a check as Markdown: the verdict, what changed, and what is fine behind a fold.

    With `only_changed` the number of rows that are fine stands in their place, as it does where the text has
    more than `most` bytes otherwise. If it has more even so, it is cut after a line. Its last line says so.
    """
    text = _markdown(checked, rules, only_changed)
    if len(text.encode()) <= most:
        return text
    text, room = _markdown(checked, rules, only_changed=True), most - len(SHORTENED)
    if len(text.encode()) > room:
        text = text.encode()[:room].decode(errors="ignore").rpartition("\n")[0] + "\n"
    return text + SHORTENED


def _markdown(checked: Checked, rules: Rules, only_changed: bool) -> str:
    changed = [v for verdict in CHANGED for v in checked.verdicts if v.verdict == verdict]
    fine = [v for v in checked.verdicts if v.verdict == "ok"]
    rows = f"{counted(len(fine), 'row')} that {'are' if len(fine) != 1 else 'is'} fine"
    missing = [f"not compared: {cell}: {reason}" for cell, reason in checked.missing]
    parts = [
        f"### {literal_line(conclusion(checked, rules))}",
        f"**{literal_line(checked.title)}**" if checked.title else "",
        _table(changed, rules) if changed else "",
        "\n".join(f"- {literal_line(line)}" for line in (*missing, *differing(checked), *beside(checked))),
        "<br>\n".join(map(literal_line, notes(checked, rules, table=bool(changed) or not only_changed))),
    ]
    if fine and only_changed:
        parts.append(f"Not shown: {rows}.")
    elif fine:
        parts.append(f"<details>\n<summary>{rows}</summary>\n\n{_table(fine, rules)}\n\n</details>")
    return "\n\n".join(filter(None, parts)) + "\n"


def _table(verdicts: Sequence[Verdict], rules: Rules) -> str:
    from tabulate import tabulate

    rows = [
        [literal_cell(text) for text in (v.cell, v.what, *numbers(v, rules), v.verdict)] for v in verdicts
    ]
    aligned = ["left" if name in TEXTS else "right" for name in COLUMNS]
    return str(tabulate(rows, COLUMNS, tablefmt="pipe", disable_numparse=True, colalign=aligned))
