"""Small plots side by side: lines against severity for each corruption, and points of all other shifts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flatqat.bench.report.by_shift import Column
from flatqat.bench.report.corruption_panels import Panel
from flatqat.bench.report.html import svg
from flatqat.bench.report.html.row_styles import RowStyle
from flatqat.bench.report.shown import ENDS
from flatqat.console.rounded import rounded

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 250.0, 165.0, 34.0, 8.0, 8.0, 22.0
LABEL = 6.5  # pixels of a character below a plot
APART = 3.0  # pixels between intervals of one place
LONGEST = 0.02  # of the ends of intervals, at either side, that may lie outside of a plot
DESCRIPTION = "{} of {} on {}. The same numbers are in the table of every shift."


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """What all small plots of one kind share: the rows, their numbers, and the scale.

    `of_zero` is for numbers of which zero means something, and draws their intervals, too.
    """

    what: str
    styles: Sequence[RowStyle]
    columns: Mapping[str, Column]
    of_zero: bool = False

    def pictures(self, panels: Sequence[Panel]) -> list[tuple[Panel, str]]:
        """Return the picture of each plot, all on one scale; none without a number."""
        drawn = [one for one in self.styles if one.has_lines and self.columns.get(one.label)]
        values = [v for one in drawn for panel in panels for v in self._known(one, panel, "")]
        if not values:
            return []
        if self.of_zero:
            ends = [self._known(one, panel, end) for end in ENDS for one in drawn for panel in panels]
            values += _mostly([0.0, *values], [end for of_panel in ends for end in of_panel])
        y = svg.scale(values, HEIGHT - BOTTOM, TOP)
        return [(panel, self._picture(panel, drawn, y)) for panel in panels]

    def _picture(self, panel: Panel, drawn: Sequence[RowStyle], y: svg.Scale) -> str:
        step = (width_of(panel) - LEFT - RIGHT) / len(panel.labels)
        places = [LEFT + step * (k + 0.5) for k in range(len(panel.labels))]
        parts = [_grid(y, width_of(panel), self.of_zero)]
        parts += [
            svg.text(text, x, HEIGHT - 7, "middle") for text, x in zip(panel.labels, places, strict=True)
        ]
        shown = [one for one in drawn if one.is_shown] or drawn
        for one in drawn:
            at = shown.index(one) if one in shown else 0
            beside = APART * (at - (len(shown) - 1) / 2) if self.of_zero or not panel.joined else 0.0
            parts.append(self._marks(one, panel, [x + beside for x in places], y))
        described = DESCRIPTION.format(self.what, ", ".join(one.label for one in shown), panel.name)
        return svg.figure(f"{self.what}: {panel.name}", described, width_of(panel), HEIGHT, *parts)

    def _marks(self, one: RowStyle, panel: Panel, places: Sequence[float], y: svg.Scale) -> str:
        """Return the line of one row, its markers and its intervals, which end at the edge of the plot."""
        values = self._values(one, panel, "")
        known = [(x, y(value)) for x, value in zip(places, values, strict=True) if value is not None]
        paths = []
        if self.of_zero:
            ends = zip(places, *(self._values(one, panel, end) for end in ENDS), strict=True)
            bars = [
                svg.upright(x, y(max(low, y.low)), y(min(high, y.high)))
                for x, low, high in ends
                if low is not None and high is not None
            ]
            paths.append(svg.tag("path", class_="i", d="".join(bars)))
        if panel.joined and len(known) > 1:
            paths.append(svg.tag("path", class_="l", d=svg.line(known)))
        markers = "".join(svg.marker(one.shape, *point) for point in known)
        paths.append(svg.tag("path", class_="m", d=markers))
        form = "+.1f" if self.of_zero else ".1f"
        texts = [
            f"{label}: {rounded(value, form)}"
            for label, value in zip(panel.labels, values, strict=True)
            if value is not None
        ]
        return one.group(f"{one.label}, {panel.name} · {' · '.join(texts)}", *paths, hides=True)

    def _values(self, one: RowStyle, panel: Panel, end: str) -> list[float | None]:
        column = self.columns.get(f"{one.label}{end}", {})
        return [column.get(name) for name in panel.sets]

    def _known(self, one: RowStyle, panel: Panel, end: str) -> list[float]:
        return [value for value in self._values(one, panel, end) if value is not None]


def _mostly(values: Sequence[float], ends: Sequence[float]) -> list[float]:
    """Return the range of values with most ends of intervals: a few very long ones would squeeze the rest."""
    ordered = sorted(ends) or [0.0]
    few = int(LONGEST * len(ordered))
    return [min(*values, ordered[few]), max(*values, ordered[-1 - few])]


def _grid(y: svg.Scale, width: float, of_zero: bool) -> str:
    lines = "".join(f"M{LEFT:.0f} {y(tick):.1f}H{width - RIGHT:.0f}" for tick in y.ticks())
    labels = "".join(svg.text(svg.number(tick), LEFT - 5, y(tick) + 3.5, "end") for tick in y.ticks())
    zero = (
        svg.tag("path", class_="zero", d=f"M{LEFT:.0f} {y(0.0):.1f}H{width - RIGHT:.0f}") if of_zero else ""
    )
    return svg.tag("path", class_="grid", d=lines) + labels + zero


def width_of(panel: Panel) -> float:
    """Return the width that the labels of a plot need."""
    longest = max(map(len, panel.labels))
    return max(WIDTH, LEFT + RIGHT + len(panel.labels) * (LABEL * longest + 8))
