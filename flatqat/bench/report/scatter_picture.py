"""Pictures with a point for each method and bits: OOD against ID, and against flatness."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flatqat.bench.records.paired import metric_of
from flatqat.bench.records.sections import Section
from flatqat.bench.records.store import Store
from flatqat.bench.report.by_method import method_rows
from flatqat.bench.report.figures import LINE_COLOR, bar, legend_, legend_height, plain_axes_, title_
from flatqat.bench.report.point_styles import Kind, of_rows, styles
from flatqat.errors import StoreError
from flatqat.metrics.effective_robustness import LINES, predicted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANEL_WIDTH, HEIGHT = 4.8, 3.9
ID_NOTE = (
    "Bars: 95% intervals over seeds and images, with one seed over images alone. Gray line, where it is "
    "within the picture: OOD equal to ID."
)
PREDICTED_NOTE = (
    " Broken line: what ID predicts for models without a robustness intervention (Taori et al. 2020)."
)
FLATNESS_NOTE = (
    "Means over seeds, measured at the deployed weights Q(W). Bars: 95% intervals of OOD over seeds and "
    "images, with one seed over images alone. What flatness has to do with OOD says --format study."
)
MEASURES = (
    ("lambda_max", "top Hessian eigenvalue"),
    ("sharpness", "mean rise of the loss, filters moved by 10%"),
)
LARGE_RATIO = 20


def id_ood(sections: Sequence[Section], store: Store) -> "Figure":
    """Return OOD against ID, a panel for each section. Raises StoreError without records."""
    has_line = any(
        r.protocol.baseline for section in sections for rows in section.rows.values() for r in rows
    )
    return _drawn("id-ood", sections, store, (("ID", "id_{}"),), ID_NOTE + PREDICTED_NOTE * has_line)


def flatness(sections: Sequence[Section], store: Store) -> "Figure":
    """Return OOD against two measures of flatness. Raises StoreError if none is stored."""
    named = tuple((label, column) for column, label in MEASURES)
    return _drawn("flatness", sections, store, named, FLATNESS_NOTE)


def _drawn(
    plot: str, sections: Sequence[Section], store: Store, along: Sequence[tuple[str, str]], notes: str
) -> "Figure":
    """Return a row of panels for each section with any number: OOD against each of `along`."""
    from matplotlib.figure import Figure

    found = []
    for section in (section for section in sections if section.rows):
        metric, rows = metric_of(next(iter(section.rows.values()))[0]), method_rows(section, store)
        columns = [(label, column.format(metric.name)) for label, column in along]
        known = [row for row in rows if row[f"ood_{metric.name}"] is not None]
        if any(row[column] is not None for row in known for _, column in columns):
            found.append((section, metric, known, columns))
    if not found:
        raise StoreError(f"--plot {plot}: expected records with these numbers, got none; measure them first")
    kinds: list[Kind] = [(row["method"], row["bits"]) for _, _, rows, _ in found for row in rows]
    style_of, entries = styles(kinds), of_rows(kinds)
    panels = len(found) * len(along)
    across = min(2, panels)
    down, width = -(-panels // across), PANEL_WIDTH * across
    height = HEIGHT * down + legend_height(entries, notes, width)
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False)
    places = iter(grid.flat)
    for section, metric, rows, columns in found:
        for label, column in columns:
            axes = next(places)
            line = next(iter(section.rows.values()))[0].protocol.baseline if column.startswith("id_") else ""
            _panel_(axes, rows, column, f"ood_{metric.name}", style_of, line)
            axes.set_xlabel(f"{label} {metric.title}, %" if column.startswith("id_") else label)
            axes.set_ylabel(f"OOD {metric.title}, %")
            title_(axes, section.title, PANEL_WIDTH)
    for axes in places:
        axes.set_visible(False)
    legend_(figure, entries, notes, width)
    return figure


def _panel_(axes: Any, rows: Sequence[Any], column: str, ood: str, style_of: Any, line: str) -> None:
    """Draw the points of one panel with their intervals."""
    known = [row for row in rows if row[column] is not None]
    values = [row[column] for row in known]
    if (
        not column.startswith("id_")
        and values
        and min(values) > 0
        and max(values) > LARGE_RATIO * min(values)
    ):
        axes.set_xscale("log")
    for row in known:
        ends, along = _ends(row, ood), _ends(row, column)
        bars = {"yerr": bar(row[ood], ends), **({"xerr": bar(row[column], along)} if along else {})}
        axes.errorbar(
            row[column], row[ood], **bars, elinewidth=0.9, zorder=3, **style_of[row["method"], row["bits"]]
        )
    if column.startswith("id_"):
        axes.autoscale_view()
        low, high = axes.get_xlim()
        axes.autoscale(False)
        axes.axline((0, 0), slope=1, color=LINE_COLOR, linewidth=0.8, zorder=1)
        if line:
            x = np.linspace(max(low, 0.1), min(high, 99.9), 100)
            axes.plot(
                x, [predicted(value, LINES[line]) for value in x], "--", color=LINE_COLOR, linewidth=1.0
            )
    plain_axes_(axes)


def _ends(row: Any, column: str) -> tuple[float, float] | None:
    low, high = row.get(f"{column}_low"), row.get(f"{column}_high")
    return None if low is None or high is None else (low, high)
