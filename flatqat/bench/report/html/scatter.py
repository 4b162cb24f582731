"""A plot with a point for each row: ID against OOD, flatness against OOD, size against OOD."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flatqat.bench.records.picture_files import LARGE_RATIO
from flatqat.bench.report.html import svg
from flatqat.bench.report.html.row_styles import RowStyle
from flatqat.console.rounded import rounded, with_interval
from flatqat.errors import counted

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 400.0, 290.0, 44.0, 12.0, 12.0, 40.0

Row = Mapping[Any, Any]
Ends = tuple[float, float] | None
Under = Callable[[svg.Scale, svg.Scale], str]
"""Draws what lies below the points, from both axes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A row in a plot: its place, the ends of its 95% intervals where known, and what a pointer shows."""

    style: RowStyle
    x: float
    y: float
    x_ends: Ends = None
    y_ends: Ends = None
    tip: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """What a plot shows along its axes; the scale of x is logarithmic if `log` or if its values span much."""

    name: str
    x: str
    y: str
    log: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A picture with its name and what it shows, in words."""

    name: str
    note: str
    svg: str


def draw(axes: Axes, points: Sequence[Point], under: Under | None = None, also: Sequence[float] = ()) -> str:
    """Return the picture of points, with their intervals; the values `also` are on the axis of y, too."""
    xs = [v for p in points for v in (p.x, *(p.x_ends or ()))]
    ys = [*also, *(v for p in points for v in (p.y, *(p.y_ends or ())))]
    log = min(xs) > 0 and (axes.log or max(xs) > LARGE_RATIO * min(xs))
    x = svg.scale(xs, LEFT, WIDTH - RIGHT, log=log)
    y = svg.scale(ys, HEIGHT - BOTTOM, TOP)
    parts = [_grid(x, y, axes), under(x, y) if under else ""]
    parts += [_marks(point, x, y) for point in points]
    rows = counted(len(points), "row")
    described = f"{axes.y} against {axes.x} of {rows}. The same numbers are in the table of methods."
    return svg.figure(axes.name, described, WIDTH, HEIGHT, *parts)


def with_ends(value: float, ends: Ends) -> str:
    """Return a number in percent and its interval as text."""
    return with_interval(value, *ends, ".1f") if ends else rounded(value)


def _marks(point: Point, x: svg.Scale, y: svg.Scale) -> str:
    at_x, at_y = x(point.x), y(point.y)
    bars = svg.upright(at_x, *map(y, point.y_ends)) if point.y_ends else ""
    if point.x_ends:
        bars += f"M{x(point.x_ends[0]):.1f} {at_y:.1f}H{x(point.x_ends[1]):.1f}"
    paths = [svg.tag("path", class_="i", d=bars)] if bars else []
    paths.append(svg.tag("path", class_="m", d=svg.marker(point.style.shape, at_x, at_y)))
    return point.style.group(point.tip, *paths)


def _grid(x: svg.Scale, y: svg.Scale, axes: Axes) -> str:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    lines = [f"M{LEFT:.0f} {y(tick):.1f}H{right:.0f}" for tick in y.ticks()]
    lines += [f"M{x(tick):.1f} {TOP:.0f}V{bottom:.0f}" for tick in x.ticks(6)]
    texts = [svg.text(svg.number(tick), LEFT - 6, y(tick) + 3.5, "end") for tick in y.ticks()]
    texts += [svg.text(svg.number(tick), x(tick), bottom + 15, "middle") for tick in x.ticks(6)]
    names = svg.text(axes.x, (LEFT + right) / 2, HEIGHT - 6, "middle")
    turned = f"translate(11 {(TOP + bottom) / 2:.0f}) rotate(-90)"
    names += svg.tag("g", svg.text(axes.y, 0.0, 0.0, "middle"), transform=turned)
    return (
        svg.tag("path", class_="grid", d="".join(lines)) + "".join(texts) + svg.tag("g", names, class_="axis")
    )
