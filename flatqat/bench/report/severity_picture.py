"""Pictures against severity: a panel for each corruption, a line for each method and bits."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

from flatqat.bench.records.paired import metric_of
from flatqat.bench.records.sections import Section, row_label
from flatqat.bench.records.store import Store
from flatqat.bench.report.by_shift import Column, shift_columns
from flatqat.bench.report.corruption_panels import Panel, panels_of
from flatqat.bench.report.figures import bar, bars_note, legend_, legend_height, plain_axes_, title_, wrapped
from flatqat.bench.report.ordinary_bars import Bar, limits
from flatqat.bench.report.point_styles import Style, row_entries, row_styles
from flatqat.bench.report.tax import ID, tax_columns, taxes
from flatqat.errors import StoreError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ACROSS = 4
PANEL_WIDTH, PANEL_HEIGHT, WIDEST = 2.4, 1.9, 9.6
APART, GROUP = 0.12, 0.7  # of the distance between two severities: between intervals, and all of one severity
SCORES_NOTE = "Means over seeds {}, ID first. The panels of one suite share a scale."
TAX_NOTE = (
    "Each method minus full precision at the same seeds and images; below zero it has lost. {} They are of "
    "single points, with no correction for their number."
)
CUT_NOTE = " An arrow at the edge: the bar goes on."


def scores(sections: Sequence[Section], store: Store) -> "Figure":
    """Return the metric against severity. Raises StoreError if no suite has shifts."""
    blocks = []
    for section in (section for section in sections if section.rows):
        record = next(iter(section.rows.values()))[0]
        columns = shift_columns(section, "shift")
        blocks.append((section, panels_of(section, "id"), columns, f"{metric_of(record).title}, %"))
    has_severities = any(panel.joined for _, panels, *_ in blocks for panel in panels)
    where = "at each severity" if has_severities else "on each shift, none of which has severities"
    return _drawn("severity", blocks, SCORES_NOTE.format(where), of_zero=False)


def tax(sections: Sequence[Section], store: Store) -> "Figure":
    """Return each method minus full precision against severity.

    Raises StoreError without full precision beside others, and without stored outcomes.
    """
    blocks, seeds = [], []
    for section in (section for section in sections if section.rows):
        found = taxes(section, store)
        seeds += [one.seeds for of_set in found.values() for one in of_set.values()]
        blocks.append((section, panels_of(section, ID), tax_columns(section, found), "tax, points"))
    return _drawn("tax", blocks, TAX_NOTE.format(bars_note(seeds)), of_zero=True)


Block = tuple[Section, Sequence[Panel], Mapping[str, Column], str]


def _drawn(plot: str, blocks: Sequence[Block], notes: str, *, of_zero: bool) -> "Figure":
    from matplotlib.figure import Figure

    blocks = [block for block in blocks if block[1] and any(block[2].values())]
    if not blocks:
        needed = "full precision and another method, both with outcomes of their images, got no such pair"
        if not of_zero:
            needed = "finished cells with shifts, got none"
        raise StoreError(f"--plot {plot}: expected {needed}; run what is missing with flatqat bench run")
    joined = any(panel.joined for _, panels, *_ in blocks for panel in panels)
    style_of = row_styles([key for section, *_ in blocks for key in section.rows], lines=joined)
    drawn = [key for section, _, columns, _ in blocks for key in section.rows if columns.get(row_label(key))]
    entries = row_entries(drawn, style_of)
    edges = [limits(_bars(*block[:3])) if of_zero else None for block in blocks]
    notes += CUT_NOTE if any(edges) else ""
    widths = [min(WIDEST, _across(panels) * _panel_width(panels)) for _, panels, *_ in blocks]
    width = max(widths)
    heights = [0.35 + PANEL_HEIGHT * -(-len(panels) // _across(panels)) for _, panels, *_ in blocks]
    figure = Figure(
        figsize=(width, sum(heights) + legend_height(entries, notes, width)), layout="constrained"
    )
    parts = figure.subfigures(len(blocks), 1, squeeze=False, height_ratios=heights)[:, 0]
    for part, (section, panels, columns, label), ends in zip(parts, blocks, edges, strict=True):
        across = _across(panels)
        grid = part.subplots(-(-len(panels) // across), across, squeeze=False, sharey=True)
        for axes, panel in zip(grid.flat, panels, strict=False):
            _panel_(axes, panel, section, columns, style_of, of_zero)
            if ends:
                _cut_(axes, ends)
            title_(axes, panel.name, PANEL_WIDTH)
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        part.supylabel(label, fontsize=9)
        title = wrapped(section.title, width)
        part.suptitle(title, fontsize=9, x=0.01, ha="left", parse_math=False)
    legend_(figure, entries, notes, width)
    return figure


def _across(panels: Sequence[Panel]) -> int:
    return min(ACROSS, len(panels))


def _panel_width(panels: Sequence[Panel]) -> float:
    labels = max(sum(len(label) + 2 for label in panel.labels) for panel in panels)
    return max(PANEL_WIDTH, 0.09 * labels)


def _panel_(
    axes: Any,
    panel: Panel,
    section: Section,
    columns: Mapping[str, Column],
    style_of: Mapping[tuple[str, str], Style],
    of_zero: bool,
) -> None:
    """Draw the lines of one corruption, with their intervals beside zero."""
    rows = [key for key in section.rows if columns.get(row_label(key))]
    apart = min(APART, GROUP / max(1, len(rows)))
    for place, key in enumerate(rows):
        label = row_label(key)
        shift = apart * (place - (len(rows) - 1) / 2) if of_zero or not panel.joined else 0.0
        known = [
            (k + shift, value, _ends(columns, label, name))
            for k, name in enumerate(panel.sets)
            if (value := columns[label].get(name)) is not None
        ]
        if not known:
            continue
        style = dict(style_of[key]) | {"markersize": 3.5, "linewidth": 1.1}
        style |= {} if panel.joined else {"linestyle": "none"}
        x, y, ends = zip(*known, strict=True)
        axes.plot(x, y, **style)
        for at, value, end in zip(x, y, ends, strict=True):
            if of_zero and end:
                axes.errorbar(at, value, yerr=bar(value, end), color=style["color"], elinewidth=0.8)
    if of_zero:
        axes.axhline(0, color="0.4", linewidth=0.8, zorder=1)
    axes.set_xticks(range(len(panel.labels)), panel.labels, fontsize=8)
    plain_axes_(axes)


def _bars(section: Section, panels: Sequence[Panel], columns: Mapping[str, Column]) -> list[Bar]:
    """Return all points of a section with their intervals."""
    labels, sets = [row_label(key) for key in section.rows], [name for panel in panels for name in panel.sets]
    return [
        (name, value, _ends(columns, label, name))
        for label, name in product(labels, sets)
        if (value := columns.get(label, {}).get(name)) is not None
    ]


def _cut_(axes: Any, edges: tuple[float, float]) -> None:
    """Let the axis of the values end at its edges, with an arrow where a bar goes on."""
    from matplotlib.markers import CARETDOWNBASE, CARETUPBASE

    low, high = edges
    axes.set_ylim(low, high)
    for bars in axes.containers:
        (lines,) = bars.lines[2]
        ((x, bottom), (_, top)) = lines.get_segments()[0]
        arrow = {"color": lines.get_color(), "markersize": 4, "linestyle": "none", "clip_on": False}
        if bottom < low:
            axes.plot([x], [low], marker=CARETDOWNBASE, **arrow)
        if top > high:
            axes.plot([x], [high], marker=CARETUPBASE, **arrow)


def _ends(columns: Mapping[str, Column], label: str, name: str) -> tuple[float, float] | None:
    low, high = (columns.get(f"{label} {end}", {}).get(name) for end in ("low", "high"))
    return None if low is None or high is None else (low, high)
