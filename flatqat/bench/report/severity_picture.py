"""Pictures against severity: a panel for each corruption, a line for each method and bits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from flatqat.bench.records.paired import metric_of
from flatqat.bench.records.sections import RowKey, Section, row_label
from flatqat.bench.records.store import Store
from flatqat.bench.report.by_shift import Column, shift_columns
from flatqat.bench.report.corruption_panels import Panel, panels_of
from flatqat.bench.report.figures import bar, bars_note, legend_, legend_height, plain_axes_, title_, wrapped
from flatqat.bench.report.ordinary_bars import Bar, Ends, limits
from flatqat.bench.report.point_styles import Style, row_entries, row_styles
from flatqat.bench.report.shown import ENDS, ends_of
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The panels of one section, with the columns that they show and what these are called."""

    section: Section
    panels: Sequence[Panel]
    columns: Mapping[str, Column]
    label: str

    @property
    def across(self) -> int:
        """The number of panels in a row."""
        return min(ACROSS, len(self.panels))

    @property
    def down(self) -> int:
        """The number of rows."""
        return -(-len(self.panels) // self.across)

    @property
    def drawn(self) -> list[RowKey]:
        """The rows of the section that have a number."""
        return [key for key in self.section.rows if self.columns.get(row_label(key))]

    def ends(self, key: RowKey, name: str) -> Ends | None:
        """Return the ends of the interval of a row on a set, if they are known."""
        of_row = {end: self.columns.get(f"{row_label(key)}{end}", {}).get(name) for end in ENDS}
        return ends_of(of_row, "", ENDS)


def scores(sections: Sequence[Section], store: Store) -> "Figure":
    """Return the metric against severity. Raises StoreError if no suite has shifts."""
    blocks = []
    for section in (section for section in sections if section.rows):
        label, columns = f"{metric_of(section.first).title}, %", shift_columns(section, "shift")
        panels = panels_of(section, "id")
        blocks.append(Block(section=section, panels=panels, columns=columns, label=label))
    has_severities = any(panel.joined for block in blocks for panel in block.panels)
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
        panels, columns = panels_of(section, ID), tax_columns(section, found)
        blocks.append(Block(section=section, panels=panels, columns=columns, label="tax, points"))
    return _drawn("tax", blocks, TAX_NOTE.format(bars_note(seeds)), of_zero=True)


def _drawn(plot: str, blocks: Sequence[Block], notes: str, *, of_zero: bool) -> "Figure":
    from matplotlib.figure import Figure

    blocks = [block for block in blocks if block.panels and any(block.columns.values())]
    if not blocks:
        needed = "full precision and another method, both with outcomes of their images, got no such pair"
        if not of_zero:
            needed = "finished cells with shifts, got none"
        raise StoreError(f"--plot {plot}: expected {needed}; run what is missing with flatqat bench run")
    joined = any(panel.joined for block in blocks for panel in block.panels)
    style_of = row_styles([key for block in blocks for key in block.section.rows], lines=joined)
    entries = row_entries([key for block in blocks for key in block.drawn], style_of)
    edges = [limits(_bars(block)) if of_zero else None for block in blocks]
    notes += CUT_NOTE if any(edges) else ""
    width = max(min(WIDEST, block.across * _panel_width(block.panels)) for block in blocks)
    heights = [0.35 + PANEL_HEIGHT * block.down for block in blocks]
    figure = Figure(
        figsize=(width, sum(heights) + legend_height(entries, notes, width)), layout="constrained"
    )
    parts = figure.subfigures(len(blocks), 1, squeeze=False, height_ratios=heights)[:, 0]
    for part, block, ends in zip(parts, blocks, edges, strict=True):
        grid = part.subplots(block.down, block.across, squeeze=False, sharey=True)
        for axes, panel in zip(grid.flat, block.panels, strict=False):
            _panel_(axes, panel, block, style_of, of_zero)
            if ends:
                _cut_(axes, ends)
            title_(axes, panel.name, PANEL_WIDTH)
        for axes in grid.flat[len(block.panels) :]:
            axes.set_visible(False)
        part.supylabel(block.label, fontsize=9)
        title = wrapped(block.section.title, width)
        part.suptitle(title, fontsize=9, x=0.01, ha="left", parse_math=False)
    legend_(figure, entries, notes, width)
    return figure


def _panel_width(panels: Sequence[Panel]) -> float:
    labels = max(sum(len(label) + 2 for label in panel.labels) for panel in panels)
    return max(PANEL_WIDTH, 0.09 * labels)


def _panel_(axes: Any, panel: Panel, block: Block, style_of: Mapping[RowKey, Style], of_zero: bool) -> None:
    """Draw the lines of one corruption, with their intervals beside zero."""
    rows = block.drawn
    apart = min(APART, GROUP / max(1, len(rows)))
    for place, key in enumerate(rows):
        shift = apart * (place - (len(rows) - 1) / 2) if of_zero or not panel.joined else 0.0
        known = [
            (k + shift, value, block.ends(key, name))
            for k, name in enumerate(panel.sets)
            if (value := block.columns[row_label(key)].get(name)) is not None
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


def _bars(block: Block) -> list[Bar]:
    """Return all points of a section with their intervals."""
    sets = [name for panel in block.panels for name in panel.sets]
    return [
        (name, value, block.ends(key, name))
        for key, name in product(block.drawn, sets)
        if (value := block.columns[row_label(key)].get(name)) is not None
    ]


def _cut_(axes: Any, edges: Ends) -> None:
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
