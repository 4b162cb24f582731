"""The picture of accuracy against cost: of each suite a panel against size, and one against BOPs."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from math import log10
from typing import TYPE_CHECKING, Any

from flatqat.bench.records.sections import Section, bits_in_words
from flatqat.bench.records.store import Store
from flatqat.bench.report.cost_texts import PACKED
from flatqat.bench.report.figures import (
    LINE_COLOR,
    bar,
    bars_note,
    legend_,
    legend_height,
    plain_axes_,
    title_,
)
from flatqat.bench.report.pareto import Panel, Point, front, panels
from flatqat.bench.report.point_styles import Kind, Style, legend_entries, styles
from flatqat.console.printable import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 9.6  # inches
AXES = (("size of all parameters, MB", "size", 1e6), ("bit operations an image, GBOPs", "bops", 1e9))
ALIKE = 0.004  # decades between costs that are shown as one
STEP = 0.013  # of the width of a panel, between points of one cost; less where groups would meet:
FILLED = 0.85  # of the distance between two groups, by half of each
MARGIN = 0.06  # of the width, at each side
COUNTED = f"Size: {PACKED} BOPs: MACs times the bits of weight and activation, 32 in floating point."
FRONT = " Line: the front of the means; none costs less and is at least as good."
BESIDE = " Points of one cost stand side by side."


def drawn(sections: Sequence[Section], store: Store) -> "Figure":
    """Return the picture as a figure of matplotlib. Raises StoreError if no record has a cost."""
    from matplotlib.figure import Figure

    rows = panels(sections, store)
    kinds = [_kind(point) for panel in rows for point in panel.points]
    entries, style_of = legend_entries(kinds), styles(kinds)
    seeds = [point.seeds for panel in rows for point in panel.points if point.ends]
    figure = Figure(layout="constrained")
    grid = figure.subplots(len(rows), 2, squeeze=False, sharey="row")
    drawn: dict[str, None] = {}
    for axes, panel in zip(grid, rows, strict=True):
        for each, (label, cost, unit) in zip(axes, AXES, strict=True):
            costs = [getattr(point, cost) / unit for point in panel.points]
            drawn |= dict.fromkeys(_draw_(each, panel, costs, style_of))
            each.set_xlabel(label)
        axes[0].set_ylabel(f"OOD {panel.metric}, %")
        title_(axes[0], panel.title, WIDTH)
    notes = f"{bars_note(seeds)} {COUNTED}{''.join(sorted(drawn, reverse=True))}{_without(rows)}"
    figure.set_size_inches(WIDTH, 3.9 * len(rows) + legend_height(entries, notes, WIDTH))
    legend_(figure, entries, notes, WIDTH)
    return figure


def _draw_(axes: Any, panel: Panel, costs: Sequence[float], style_of: Mapping[Kind, Style]) -> Iterator[str]:
    """Draw the points of a panel against their costs, the front, and the bits of each group of one cost.

    Yields notes on what is there beyond points.
    """
    order = list(style_of)
    places, groups = beside(costs, [order.index(_kind(point)) for point in panel.points])
    axes.set_xscale("log")
    for point, x in zip(panel.points, places, strict=True):
        axes.errorbar(
            x, point.ood, yerr=bar(point.ood, point.ends), elinewidth=0.9, zorder=3, **style_of[_kind(point)]
        )
    best = front([(cost, point.ood) for cost, point in zip(costs, panel.points, strict=True)])
    of_best = [places[k] for k in best], [panel.points[k].ood for k in best]
    axes.plot(*of_best, drawstyle="steps-post", color=LINE_COLOR, linewidth=1.2, zorder=2)
    for group in groups:
        _name_(axes, [panel.points[k] for k in group], [places[k] for k in group])
    _set_scale_(axes, places)
    plain_axes_(axes)
    axes.margins(y=0.12)
    yield from notes_on(best, groups)


def notes_on(best: Sequence[int], groups: Sequence[Sequence[int]]) -> list[str]:
    """Return a sentence on the front, if it is a line, and one on points of one cost, if there are any."""
    drawn = {FRONT: len(best) > 1, BESIDE: any(len(group) > 1 for group in groups)}
    return [sentence for sentence, is_drawn in drawn.items() if is_drawn]


def beside(costs: Sequence[float], order: Sequence[int]) -> tuple[list[float], list[list[int]]]:
    """Return where points are drawn, and the groups of those that cost the same, as indices.

    Points of one group stand side by side in the given order, around their common cost.
    """
    width = log10(max(costs) / min(costs)) or 1.0
    groups: list[list[int]] = []
    for k in sorted(range(len(costs)), key=lambda k: costs[k]):
        if groups and log10(costs[k] / costs[groups[-1][0]]) < ALIKE * width:
            groups[-1].append(k)
        else:
            groups.append([k])
    apart = [log10(costs[b[0]] / costs[a[0]]) / (len(a) + len(b)) for a, b in pairwise(groups)]
    step = min([STEP * width, *(FILLED * 2 * each for each in apart)])
    places = list(costs)
    for group in groups:
        for place, k in enumerate(sorted(group, key=lambda k: order[k])):
            places[k] = costs[k] * 10 ** (step * (place - (len(group) - 1) / 2))
    return places, groups


def _name_(axes: Any, points: Sequence[Point], places: Sequence[float]) -> None:
    """Write the bits of a group above its highest bar."""
    top = max(point.ends[1] if point.ends else point.ood for point in points)
    middle = 10 ** (sum(map(log10, places)) / len(places))
    names = ", ".join(dict.fromkeys(point.bits for point in points))
    text = axes.annotate(
        printable(bits_in_words(names)),
        (middle, top),
        (0, 5),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=8,
        in_layout=False,
    )
    text.set_parse_math(False)


def _set_scale_(axes: Any, places: Sequence[float]) -> None:
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    low, high = min(places), max(places)
    margin = (high / low) ** MARGIN if high > low else 2.0
    axes.set_xlim(low / margin, high * margin)
    decades = log10(high / low)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 3 else (1,), numticks=12))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _without(rows: Sequence[Panel]) -> str:
    names = [name for panel in rows for name in panel.without]
    return f" Not shown, without a cost: {printable(', '.join(names))}." if names else ""


def _kind(point: Point) -> Kind:
    return point.method, point.model
