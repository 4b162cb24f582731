"""OOD against size: the points and the front of `pareto`, of one section or of all models of a suite."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flatqat.bench.report.cost_texts import PACKED
from flatqat.bench.report.html import scatter, svg
from flatqat.bench.report.html.row_styles import COLORS, DASHES, RowStyle
from flatqat.bench.report.html.scatter import Axes, Figure, Point, with_ends
from flatqat.bench.report.pareto import Panel, front
from flatqat.bench.report.pareto import Point as Cost
from flatqat.bench.report.pareto_picture import beside, notes_on

MEGA = 1e6
NOTE = f"Size: {PACKED} Bits stand above the points."


@dataclass(frozen=True, slots=True, kw_only=True)
class Across:
    """A picture of all models of a suite, with a legend of its own."""

    figure: Figure
    legend: Sequence[tuple[str, str]]


def size_figure(panel: Panel, style_of: Callable[[Cost], RowStyle], name: str = "Size against OOD") -> Figure:
    """Return the picture of a panel."""
    costs = [point.size / MEGA for point in panel.points]
    places, groups = beside(costs, [style_of(point).place for point in panel.points])
    points = [
        Point(
            style=style_of(point),
            x=place,
            y=point.ood,
            y_ends=point.ends,
            tip=f"{style_of(point).label}: {cost:.3g} MB, OOD {with_ends(point.ood, point.ends)}",
        )
        for point, cost, place in zip(panel.points, costs, places, strict=True)
    ]
    best = front([(cost, point.ood) for cost, point in zip(costs, panel.points, strict=True)])
    at_front = [points[k] for k in best]
    named = [
        (dict.fromkeys(panel.points[k].bits for k in group), [points[k] for k in group]) for group in groups
    ]

    def under(x: svg.Scale, y: svg.Scale) -> str:
        return _stairs(at_front, x, y) + "".join(_bits([*bits], group, x, y) for bits, group in named)

    without = f" Not shown, without a cost: {', '.join(panel.without)}." if panel.without else ""
    axes = Axes(name=name, x="size of all parameters, MB", y=f"OOD {panel.metric}, %", log=True)
    return Figure(
        name=name,
        note="".join([NOTE, *notes_on(best, groups), without]),
        svg=scatter.draw(axes, points, under),
    )


def across_models(panel: Panel) -> Across:
    """Return the picture of several sections of a suite: the color is the method's, the shape the model's."""
    methods = list(dict.fromkeys(point.method for point in panel.points))
    models = list(dict.fromkeys(point.model for point in panel.points))
    widths = list(dict.fromkeys(point.bits for point in panel.points))
    kinds: dict[tuple[str, str, str], RowStyle] = {}
    for point in panel.points:
        kind, width = methods.index(point.method), widths.index(point.bits)
        kinds[point.model, point.method, point.bits] = RowStyle(
            place=kind,
            method=f"{point.model} {point.method}",
            bits=point.bits,
            style=f"k{kind % COLORS} d{width % DASHES}",
            shape=models.index(point.model),
            is_shown=True,
        )
    figure = size_figure(
        panel, lambda p: kinds[p.model, p.method, p.bits], f"Size against OOD: {panel.title}"
    )
    legend = {one.method: one.swatch for one in kinds.values()}
    return Across(figure=figure, legend=list(legend.items()))


def _stairs(points: Sequence[Point], x: svg.Scale, y: svg.Scale) -> str:
    first, *others = points
    path = f"M{x(first.x):.1f} {y(first.y):.1f}" + "".join(f"H{x(p.x):.1f}V{y(p.y):.1f}" for p in others)
    return svg.tag("path", class_="front", d=path)


def _bits(names: Sequence[str], group: Sequence[Point], x: svg.Scale, y: svg.Scale) -> str:
    """Return the bits of points of one size, above the highest of their intervals."""
    middle = sum(x(point.x) for point in group) / len(group)
    top = min(y(point.y_ends[1] if point.y_ends else point.y) for point in group)
    return svg.text(", ".join(names), middle, top - 6, "middle")
