"""Pictures with a point for each method and bits: OOD against ID, and against flatness."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flatqat.bench.records.paired import metric_of
from flatqat.bench.records.picture_files import LARGE_RATIO
from flatqat.bench.records.sections import Section, key_of
from flatqat.bench.records.store import Store
from flatqat.bench.report.by_method import method_rows
from flatqat.bench.report.figures import (
    LINE_COLOR,
    bar,
    bars_note,
    legend_,
    legend_height,
    plain_axes_,
    title_,
)
from flatqat.bench.report.point_styles import row_entries, row_styles
from flatqat.bench.report.shown import ends_of
from flatqat.errors import StoreError
from flatqat.metrics.effective_robustness import LINES, predicted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANEL_WIDTH, HEIGHT = 4.8, 3.9
EQUAL_NOTE = "Gray line: OOD equal to ID."
PREDICTED_NOTE = (
    "Broken line: what ID predicts for models without a robustness intervention (Taori et al. 2020)."
)
FLATNESS_NOTE = "Flatness: means over seeds, at the deployed weights Q(W)."
MEASURES = (
    ("lambda_max", "top Hessian eigenvalue"),
    ("sharpness", "mean rise of the loss, filters moved by 10%"),
)
NEEDED = {
    "id-ood": "finished cells with ID and OOD scores, got none; make some with flatqat bench run",
    "flatness": "finished cells with flatness, got none; run the same command without --no-flatness",
}
"""What a plot is made from, and what to do if that is missing."""


def id_ood(sections: Sequence[Section], store: Store) -> "Figure":
    """Return OOD against ID, a panel for each section. Raises StoreError without records."""
    return _drawn("id-ood", sections, store, (("ID", "id_{}"),), "")


def flatness(sections: Sequence[Section], store: Store) -> "Figure":
    """Return OOD against two measures of flatness. Raises StoreError if none is stored."""
    named = tuple((label, column) for column, label in MEASURES)
    return _drawn("flatness", sections, store, named, FLATNESS_NOTE)


def _drawn(
    plot: str, sections: Sequence[Section], store: Store, along: Sequence[tuple[str, str]], note: str
) -> "Figure":
    """Return a row of panels for each section with any number: OOD against each of `along`."""
    from matplotlib.figure import Figure

    found = []
    for section in (section for section in sections if section.rows):
        metric, rows = metric_of(section.first), method_rows(section, store)
        columns = [(label, column.format(metric.name)) for label, column in along]
        known = [row for row in rows if row[f"ood_{metric.name}"] is not None]
        if any(row[column] is not None for row in known for _, column in columns):
            found.append((section, metric, known, columns))
    if not found:
        raise StoreError(f"--plot {plot}: expected {NEEDED[plot]}")
    kinds = [key_of(row) for _, _, rows, _ in found for row in rows]
    style_of = row_styles(kinds, lines=False)
    entries = row_entries(kinds, style_of)
    panels = len(found) * len(along)
    across = min(2, panels)
    down, width = -(-panels // across), PANEL_WIDTH * across
    figure = Figure(layout="constrained")
    grid = figure.subplots(down, across, squeeze=False)
    places, lines = iter(grid.flat), dict[str, None]()
    for section, metric, rows, columns in found:
        for label, column in columns:
            axes = next(places)
            line = section.first.protocol.baseline if column.startswith("id_") else ""
            lines |= dict.fromkeys(_panel_(axes, rows, column, f"ood_{metric.name}", style_of, line))
            axes.set_xlabel(f"{label} {metric.title}, %" if column.startswith("id_") else label)
            axes.set_ylabel(f"OOD {metric.title}, %")
            title_(axes, section.title, PANEL_WIDTH)
    for axes in places:
        axes.set_visible(False)
    seeds = [
        row["seeds"] for _, metric, rows, _ in found for row in rows if ends_of(row, f"ood_{metric.name}")
    ]
    notes = " ".join(filter(None, (note, bars_note(seeds), *lines)))
    figure.set_size_inches(width, HEIGHT * down + legend_height(entries, notes, width))
    legend_(figure, entries, notes, width)
    return figure


def _panel_(axes: Any, rows: Sequence[Any], column: str, ood: str, style_of: Any, line: str) -> list[str]:
    """Draw the points of one panel with their intervals; returns notes on the lines that it has."""
    known = [row for row in rows if row[column] is not None]
    values = [row[column] for row in known]
    is_id = column.startswith("id_")
    if not is_id and values and min(values) > 0 and max(values) > LARGE_RATIO * min(values):
        axes.set_xscale("log")
    for row in known:
        ends, along = ends_of(row, ood), ends_of(row, column)
        bars = {"yerr": bar(row[ood], ends), **({"xerr": bar(row[column], along)} if along else {})}
        axes.errorbar(row[column], row[ood], **bars, elinewidth=0.9, zorder=3, **style_of[key_of(row)])
    plain_axes_(axes)
    return _lines_(axes, line) if is_id else []


def _lines_(axes: Any, line: str) -> list[str]:
    """Draw where OOD is ID, and what ID predicts, as far as they are within the axes; returns their notes."""
    axes.autoscale_view()
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    axes.autoscale(False)
    notes = []
    if max(left, low) < min(right, high):
        axes.axline((0, 0), slope=1, color=LINE_COLOR, linewidth=0.8, zorder=1)
        notes.append(EQUAL_NOTE)
    if line:
        x = np.linspace(max(left, 0.1), min(right, 99.9), 100)
        y = [predicted(value, LINES[line]) for value in x]
        if any(low < value < high for value in y):
            axes.plot(x, y, "--", color=LINE_COLOR, linewidth=1.0)
            notes.append(PREDICTED_NOTE)
    return notes
