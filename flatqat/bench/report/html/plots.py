"""The plots of rows: ID against OOD with the line to compare with, flatness and size against OOD."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flatqat.bench.records.paired import metric_of
from flatqat.bench.records.sections import RowKey, Section, key_of, row_label
from flatqat.bench.report.html import scatter, svg
from flatqat.bench.report.html.row_styles import RowStyle
from flatqat.bench.report.html.scatter import Axes, Figure, Point, Row, with_ends
from flatqat.bench.report.html.size import size_figure
from flatqat.bench.report.pareto import of_means, panels_of
from flatqat.bench.report.shown import ends_of, is_unknown
from flatqat.metrics.effective_robustness import LINES, predicted

STEPS = 40  # of a line that is a curve
FLATNESS = {
    "lambda_max": ("Top Hessian eigenvalue", "λmax"),
    "sharpness": ("Sharpness", "mean rise of the loss, every filter moved by 10%"),
}


def of_rows(
    section: Section, rows: Sequence[Row], styles: Mapping[RowKey, RowStyle], *, answered: bool
) -> list[Figure]:
    """Return the plots that have the numbers they need; of domains, the rows of their mean.

    `answered` says whether tests of flatness stand below.
    """
    known = of_means(rows)
    found = [_id_and_ood(section, known, styles)]
    found += [_flatness(section, known, styles, column, answered) for column in FLATNESS]
    costs = panels_of([(section, rows)])
    found += [size_figure(panel, lambda point: styles[point.method, point.bits]) for panel in costs]
    return [figure for figure in found if figure]


def _id_and_ood(section: Section, rows: Sequence[Row], styles: Mapping[Any, RowStyle]) -> Figure | None:
    metric, id_, ood = _names(section)
    points = [
        Point(
            style=styles[key_of(row)],
            x=row[id_],
            y=row[ood],
            x_ends=ends_of(row, id_),
            y_ends=ends_of(row, ood),
            tip=f"{_label(row)}: ID {with_ends(row[id_], ends_of(row, id_))}, {_ood(row, ood)}",
        )
        for row in rows
        if not is_unknown(row[id_]) and not is_unknown(row[ood])
    ]
    if not points:
        return None
    compared, note = _compared(section, rows)
    note = f"A point is the mean over seeds, its bars are 95% intervals. {note}".strip()
    axes = Axes(name="ID against OOD", x=f"ID {metric}, %", y=f"OOD {metric}, %")
    if compared is None:
        return Figure(name=axes.name, note=note, svg=scatter.draw(axes, points))

    def under(x: svg.Scale, y: svg.Scale) -> str:
        steps = [x.low + k * (x.high - x.low) / STEPS for k in range(STEPS + 1)]
        known = [(v, compared(v)) for v in steps if 0 < v < 100]
        inside = [(x(a), y(b)) for a, b in known if y.low <= b <= y.high]
        return svg.tag("path", class_="compared", d=svg.line(inside)) if len(inside) > 1 else ""

    also = [compared(point.x) for point in points if 0 < point.x < 100]
    return Figure(name=axes.name, note=note, svg=scatter.draw(axes, points, under, also))


def _compared(section: Section, rows: Sequence[Row]) -> tuple[Callable[[float], float] | None, str]:
    """Return OOD by ID on the line of standard models, or on that of equal gap, and what it is."""
    if name := section.first.protocol.baseline:
        line = LINES[name]
        note = (
            f"Dashed: OOD as {line.models} standard models predict it from ID (line {name}); effective "
            "robustness is how far a point lies above."
        )
        return lambda value: predicted(value, line), note
    gaps = [row["gap"] for row in rows if key_of(row) == section.reference and not is_unknown(row["gap"])]
    if section.reference is None or not gaps:
        return None, ""
    note = (
        f"Dashed: the gap between ID and OOD of {row_label(section.reference)}; below it a method loses more "
        "under shift, its extra gap is above zero."
    )
    return lambda value: value - gaps[0], note


def _flatness(
    section: Section, rows: Sequence[Row], styles: Mapping[Any, RowStyle], column: str, answered: bool
) -> Figure | None:
    metric, _, ood = _names(section)
    title, x_name = FLATNESS[column]
    points = [
        Point(
            style=styles[key_of(row)],
            x=row[column],
            y=row[ood],
            y_ends=ends_of(row, ood),
            tip=f"{_label(row)}: {x_name} {row[column]:.3g}, {_ood(row, ood)}",
        )
        for row in rows
        if not is_unknown(row[column]) and not is_unknown(row[ood])
    ]
    if len(points) < 2:
        return None
    axes = Axes(name=f"{title} against OOD", x=x_name, y=f"OOD {metric}, %")
    tests = "; the answers below are tests by rank" * answered
    note = f"Flatter is further left. A picture alone decides nothing{tests}."
    return Figure(name=axes.name, note=note, svg=scatter.draw(axes, points))


def _ood(row: Row, column: str) -> str:
    return f"OOD {with_ends(row[column], ends_of(row, column))}"


def _names(section: Section) -> tuple[str, str, str]:
    metric = metric_of(section.first)
    return metric.title, f"id_{metric.name}", f"ood_{metric.name}"


def _label(row: Row) -> str:
    return row_label(key_of(row))
