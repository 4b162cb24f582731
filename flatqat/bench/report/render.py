"""Tables of stored records for people, papers and programs. The same store gives the same bytes."""

import json
from typing import TYPE_CHECKING, Any, Literal

from flatqat.bench.records.escape import csv, latex, markdown
from flatqat.bench.records.paired import metric_of
from flatqat.bench.records.sections import Section, problems, sections
from flatqat.bench.records.store import Store
from flatqat.bench.report.by_class import CAPTION as CLASSES_CAPTION
from flatqat.bench.report.by_class import by_class, check_classes
from flatqat.bench.report.by_method import View, by_method, by_shift
from flatqat.bench.report.families import Family, by_domain, merged
from flatqat.bench.study.page import study_page
from flatqat.bench.study.study import studied
from flatqat.console.printable import printable
from flatqat.console.terminal import plain_table
from flatqat.spec import RESIDUAL_TOLERANCE

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

Format = Literal["table", "md", "csv", "json", "latex", "study"]
FORMATS: tuple[Format, ...] = ("table", "md", "csv", "json", "latex", "study")

DISPENSABLE = (("NLL", "ECE"), ("λmax", "sharp"), ("pooled", "gap"), ("seeds",))
"""Columns that a narrow terminal leaves out, in this order."""
NAME_WIDTH = 16  # characters that names of methods and bits get before they go over lines
CAPTION = (
    "gap: ID - OOD. extra gap: by how much the gap "
    "exceeds that of full precision, with its 95% paired bootstrap interval over images (and seeds). NLL, "
    "ECE: means over shifts. λmax: top Hessian eigenvalue at the deployed weights (*: not converged). sharp: "
    "mean rise of the loss when every filter moves by 10% of its norm."
)
CAPTIONS = {
    "top1": f"ID, OOD: top-1 in percent, OOD the mean over shifts. {CAPTION}",
    "miou": "ID, OOD: mIoU in percent, each of the confusion matrix of a whole shift, OOD the mean of "
    f"conditions. pooled: mIoU of the confusion matrix of all conditions together. {CAPTION}",
}


def render(
    store: Store,
    suite: str | None,
    form: Format,
    view: View,
    against: str = "",
    *,
    all_revisions: bool = False,
) -> str:
    """Return the report as text; a study compares with `against`. Raises StoreError if nothing is stored."""
    stored = load(store, suite, all_revisions=all_revisions)
    if form == "study":
        return study_page(studied(stored, store, against), store)
    shown = _as_shown(stored, view)
    frames = [(section, frame(section, store, view)) for section in shown]
    if form == "json":
        return json.dumps([_json(section, table) for section, table in frames], indent=2) + "\n"
    if form == "csv":
        return _csv(frames)
    return "\n".join(
        (_markdown if form == "md" else _latex)(section, table, view) for section, table in frames
    )


def _markdown(section: Section, table: "pd.DataFrame", view: View) -> str:
    lines = [f"### {markdown(section.title)}", "", *map(markdown, problems(section))]
    if section.rows:
        shown = _display(section, table, view).map(markdown).rename(columns=lambda c: _literal(markdown(c)))
        shown = shown.assign(bits=shown["bits"].map(_literal)) if "bits" in shown else shown
        text = shown.to_markdown(index=False, disable_numparse=True)
        lines += [text, "", f"{markdown(section.protocol)}. {_caption(section, view)}".rstrip()]
    return "\n".join(lines) + "\n"


def _latex(section: Section, table: "pd.DataFrame", view: View) -> str:
    lines = [f"% {printable(line)}" for line in problems(section)]
    if section.rows:
        text = _display(section, table, view).to_latex(index=False, escape=True, caption=latex(section.title))
        lines.append(text.replace("λmax", r"$\lambda_{\max}$").replace("±", r"$\pm$"))
    return "\n".join(lines) + "\n"


def show(stored: list[Section], store: Store, view: View, console: "Console") -> None:
    """Print the report on a terminal."""
    shown_sections = _as_shown(stored, view)
    for section in shown_sections:
        console.print(printable(section.title), style="bold", markup=False, highlight=False, soft_wrap=True)
        for line in problems(section):
            console.print(printable(line), style="bold red", markup=False, highlight=False)
        if not section.rows:
            continue
        shown = _display(section, frame(section, store, view), view)
        if view == "method":
            shown = _fitting(shown, console.width)
        table = plain_table(*shown.columns, left=("method", "bits", "domain", view))
        for row in shown.itertuples(index=False):
            table.add_row(*map(str, row))
        console.print(table)
        console.print(f"{printable(section.protocol)}.\n", style="dim", markup=False, highlight=False)
    for caption in dict.fromkeys(_caption(section, view) for section in shown_sections if section.rows):
        if caption:
            console.print(caption, style="dim", markup=False, highlight=False)


def _fitting(shown: "pd.DataFrame", width: int) -> "pd.DataFrame":
    """Return as many columns as a terminal has room for."""

    def needed() -> int:
        widths = {c: max(map(len, (c, *shown[c]))) for c in map(str, shown)}
        return sum(2 + (min(w, NAME_WIDTH) if c in ("method", "bits") else w) for c, w in widths.items())

    for names in DISPENSABLE:
        if needed() > width:
            shown = shown.drop(columns=list(names), errors="ignore")
    return shown


def load(store: Store, suite: str | None, *, all_revisions: bool = False) -> list[Section]:
    """Return the sections of all stored records, or of a suite's. Raises StoreError if there are none."""
    return sections(store.some_records(suite), all_revisions=all_revisions)


def frame(section: Section, store: Store, view: View) -> "pd.DataFrame":
    """Return the numbers behind a view as a table."""
    if isinstance(section, Family):
        return by_domain(section, store)
    if view == "class":
        return by_class(section)
    return by_method(section, store) if view == "method" else by_shift(section, view)


def _as_shown(stored: list[Section], view: View) -> list[Section]:
    """Return the sections with families merged, which have one table by method, and else one a member."""
    if view == "class":
        check_classes(stored)
    return merged(stored) if view == "method" else stored


def _metric(section: Section) -> str:
    """Return the name of the metric of a section with rows."""
    return metric_of(next(iter(section.rows.values()))[0]).name


def _caption(section: Section, view: View) -> str:
    if view == "method":
        return CAPTIONS[_metric(section)]
    return CLASSES_CAPTION if view == "class" else ""


def _display(section: Section, table: "pd.DataFrame", view: View) -> "pd.DataFrame":
    """Return the table with its numbers as short text, without control characters."""
    import pandas as pd

    if view != "method":
        shown = table.map(lambda v: printable(str(v)) if isinstance(v, str | int) else _number(v, ".1f"))
        return shown.astype(str).rename(columns=printable)
    metric = _metric(section)
    several = {"seeds"} if (table["seeds"] > 1).any() else set()
    rows = [
        {
            "method": printable(row["method"]),
            "bits": printable(row["bits"]),
            **({"domain": printable(row["domain"])} if "domain" in row else {}),
            **{name: str(row[name]) for name in several},
            "ID": _with_error(row[f"id_{metric}"], row[f"id_{metric}_stderr"]),
            "OOD": _with_error(row[f"ood_{metric}"], row[f"ood_{metric}_stderr"]),
            **_pooled(row, metric),
            "gap": _number(row["gap"], ".1f"),
            **({"oracle": _number(row[oracle], ".1f")} if (oracle := f"oracle_{metric}") in row else {}),
            "extra gap [95%]": _interval(row),
            **_robustness(row),
            "NLL": _number(row["ood_nll"], ".2f"),
            "ECE": _number(row["ood_ece"], ".1f"),
            "λmax": _number(row["lambda_max"], ".3g") + _flag(row),
            "sharp": _number(row["sharpness"], ".2g"),
        }
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(rows)


def _pooled(row: dict[Any, Any], metric: str) -> dict[str, str]:
    """Return the column of the metric of all shifts together, if the metric has one."""
    name = f"pooled_{metric}"
    return {"pooled": _with_error(row[name], row[f"{name}_stderr"])} if name in row else {}


def _robustness(row: dict[Any, Any]) -> dict[str, str]:
    """Return the columns of `robustness_columns`, if the suite has them."""
    shown = {}
    if "mce" in row:
        shown["mCE"] = _with_error(row["mce"], row["mce_stderr"])
        shown["rel. mCE"] = _number(row["relative_mce"], ".1f")
    if "effective_robustness" in row:
        shown["eff. rob."] = _number(row["effective_robustness"], "+.1f")
    return shown


def _number(value: Any, form: str) -> str:
    return "-" if value is None or value != value else format(value, form)


def _with_error(value: Any, stderr: Any) -> str:
    error = _number(stderr, ".1f")
    return _number(value, ".1f") + ("" if error == "-" else f" ±{error}")


def _interval(row: dict[Any, Any]) -> str:
    if _number(row["extra_gap"], ".1f") == "-":
        return "-"
    return f"{row['extra_gap']:+.1f} [{row['extra_gap_low']:+.1f}, {row['extra_gap_high']:+.1f}]"


def _flag(row: dict[Any, Any]) -> str:
    """Return a star if the eigenvalue did not converge to the tolerance."""
    residual = row["lambda_max_residual"]
    return "*" if residual is not None and residual > RESIDUAL_TOLERANCE else ""


def _json(section: Section, table: "pd.DataFrame") -> dict[str, Any]:
    rows = json.loads(table.to_json(orient="records", double_precision=10))
    failed = [{"cell": r.cell.label, "status": r.status, "reason": r.reason} for r in section.problems]
    return {"title": section.title, "protocol": section.protocol, "rows": rows, "problems": failed}


def _csv(frames: "list[tuple[Section, pd.DataFrame]]") -> str:
    """Return all sections under one header, the title of its section first in each row."""
    import pandas as pd

    titled = [
        table.assign(section=section.title).map(_cell).rename(columns=csv)
        for section, table in frames
        if section.rows
    ]
    if not titled:
        return "section\n"
    table = pd.concat(titled)
    columns = ["section", *(name for name in table.columns if name != "section")]
    return str(table[columns].to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def _literal(text: str) -> str:
    """Return text with the stars of layer patterns escaped, which are emphasis in Markdown."""
    return text.replace("*", r"\*")


def _cell(value: Any) -> Any:
    return csv(value) if isinstance(value, str) else value
