"""Small plots side by side, one for each corruption, with a line for each row against severity."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from flatqat.bench.records.sections import Section
from flatqat.bench.report.by_shift import Column
from flatqat.bench.report.html import svg
from flatqat.bench.report.html.series import Series
from flatqat.bench.report.tax import corruption_of

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 250.0, 165.0, 34.0, 8.0, 8.0, 22.0
LABEL = 6.5  # pixels of a character below a plot
APART = 3.0  # pixels between intervals of one place
DESCRIPTION = "{} of {} on {}. The same numbers are in the table of every shift."


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One small plot: its name, the sets along its axis, and their labels; `joined` makes lines."""

    name: str
    sets: Sequence[str]
    labels: Sequence[str]
    joined: bool

    @property
    def width(self) -> float:
        """The width that its labels need."""
        longest = max(map(len, self.labels))
        return max(WIDTH, LEFT + RIGHT + len(self.labels) * (LABEL * longest + 8))


def panels_of(section: Section, of_id: str) -> list[Panel]:
    """Return a panel for each corruption, ID first in each, and one for all shifts without severities."""
    record = next(iter(section.rows.values()))[0]
    corruptions: dict[str, list[str]] = {}
    single = []
    for shift, info in record.protocol.shifts.items():
        if shift in ("id", "val"):
            continue
        if info.severity is None:
            single.append(shift)
        else:
            corruptions.setdefault(corruption_of(shift), []).append(shift)
    found = []
    for name, shifts in corruptions.items():
        in_mean = record.protocol.shifts[shifts[0]].in_mean
        labels = ["ID", *(str(record.protocol.shifts[shift].severity) for shift in shifts)]
        title = name if in_mean else f"{name} (not in the mean)"
        found.append(Panel(name=title, sets=[of_id, *shifts], labels=labels, joined=True))
    if single:
        found.append(Panel(name="shifts", sets=[of_id, *single], labels=["ID", *single], joined=False))
    return found


def draw(
    panels: Sequence[Panel],
    series: Sequence[Series],
    columns: Mapping[str, Column],
    what: str,
    *,
    of_zero: bool = False,
) -> list[tuple[Panel, str]]:
    """Return the picture of each panel, all on one scale.

    Where `columns` has the ends of intervals and zero is a value of interest, intervals are drawn, too.
    """
    drawn = [one for one in series if one.has_lines and columns.get(one.label)]
    values = [
        value
        for one in drawn
        for end in (("", " low", " high") if of_zero else ("",))
        for panel in panels
        for name in panel.sets
        if (value := columns[f"{one.label}{end}"].get(name)) is not None
    ]
    if not values:
        return []
    y = svg.scale([*values, *([0.0] if of_zero else [])], HEIGHT - BOTTOM, TOP)
    return [(panel, _picture(panel, drawn, columns, what, y, of_zero)) for panel in panels]


def _picture(
    panel: Panel,
    drawn: Sequence[Series],
    columns: Mapping[str, Column],
    what: str,
    y: svg.Scale,
    of_zero: bool,
) -> str:
    width = panel.width
    step = (width - LEFT - RIGHT) / len(panel.labels)
    places = [LEFT + step * (k + 0.5) for k in range(len(panel.labels))]
    parts = [_grid(y, width, of_zero)]
    parts += [svg.text(label, x, HEIGHT - 7, "middle") for label, x in zip(panel.labels, places, strict=True)]
    shown = [one for one in drawn if one.is_shown] or drawn
    for one in drawn:
        at = shown.index(one) if one in shown else 0
        shift = APART * (at - (len(shown) - 1) / 2) if of_zero or not panel.joined else 0.0
        parts.append(_marks(one, panel, [x + shift for x in places], columns, y, of_zero))
    name = f"{what}: {panel.name}"
    described = DESCRIPTION.format(what, ", ".join(one.label for one in shown), panel.name)
    return svg.figure(name, described, width, HEIGHT, *parts)


def _grid(y: svg.Scale, width: float, of_zero: bool) -> str:
    lines = "".join(f"M{LEFT:.0f} {y(tick):.1f}H{width - RIGHT:.0f}" for tick in y.ticks())
    labels = "".join(svg.text(svg.number(tick), LEFT - 5, y(tick) + 3.5, "end") for tick in y.ticks())
    zero = svg.tag("path", class_="zero", d=f"M{LEFT:.0f} {y(0.0):.1f}H{width - RIGHT:.0f}") * of_zero
    return svg.tag("path", class_="grid", d=lines) + labels + zero


def _marks(
    one: Series,
    panel: Panel,
    places: Sequence[float],
    columns: Mapping[str, Column],
    y: svg.Scale,
    of_zero: bool,
) -> str:
    """Return the line of one row, its markers and, beside zero, its intervals."""
    found: Callable[[str], list[float | None]] = lambda end: [  # noqa: E731
        columns.get(f"{one.label}{end}", {}).get(name) for name in panel.sets
    ]
    values = found("")
    known = [(x, y(value)) for x, value in zip(places, values, strict=True) if value is not None]
    paths = []
    if of_zero:
        ends = zip(places, found(" low"), found(" high"), strict=True)
        bars = [
            svg.upright(x, y(low), y(high)) for x, low, high in ends if low is not None and high is not None
        ]
        paths.append(svg.tag("path", class_="i", d="".join(bars)))
    if panel.joined and len(known) > 1:
        paths.append(svg.tag("path", class_="l", d=svg.line(known)))
    paths.append(svg.tag("path", class_="m", d="".join(svg.marker(one.shape, *point) for point in known)))
    form = "+.1f" if of_zero else ".1f"
    texts = [
        f"{label} {value:{form}}"
        for label, value in zip(panel.labels, values, strict=True)
        if value is not None
    ]
    return one.group(f"{one.label}, {panel.name}: {' · '.join(texts)}", *paths, hides=True)
