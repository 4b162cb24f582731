"""The few parts of SVG that plots are made of, as text whose attributes and contents are escaped."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

from flatqat.console.printable import printable

SHAPES = (
    "m-2.5 0a2.5 2.5 0 1 0 5 0a2.5 2.5 0 1 0-5 0z",
    "m-2.3-2.3h4.6v4.6h-4.6z",
    "m0-3.4l3.4 3.4-3.4 3.4-3.4-3.4z",
    "m0-3.2l3.2 5.4h-6.4z",
    "m0 3.2l3.2-5.4h-6.4z",
    "m-3-1h2v-2h2v2h2v2h-2v2h-2v-2h-2z",
    "m-3.2-2.6h6.4l-6.4 5.2h6.4z",
)
"""Paths of markers around the current point: circle, square, diamond, triangles, cross, hourglass."""


def tag(name: str, *children: str, **attributes: object) -> str:
    """Return an element; `_` in the name of an attribute is `-`, and None leaves it out."""
    texts = [
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    ]
    return f"<{name}{''.join(texts)}>{''.join(children)}</{name}>"


def text(content: str, x: float, y: float, anchor: str = "start") -> str:
    """Return a text at a place."""
    return tag("text", _content(content), x=x, y=y, text_anchor=None if anchor == "start" else anchor)


def title(content: str) -> str:
    """Return what a pointer on the element shows."""
    return tag("title", _content(content))


def figure(name: str, description: str, width: float, height: float, *children: str) -> str:
    """Return a picture that names itself."""
    head = title(name) + tag("desc", _content(description))
    return tag("svg", head, *children, role="img", viewBox=f"0 0 {_text(width)} {_text(height)}")


def marker(shape: int, x: float, y: float) -> str:
    """Return the path of a marker."""
    return f"M{_text(x)} {_text(y)}{SHAPES[shape % len(SHAPES)]}"


def line(points: Sequence[tuple[float, float]]) -> str:
    """Return the path through points."""
    return "M" + "L".join(f"{_text(x)} {_text(y)}" for x, y in points)


def upright(x: float, low: float, high: float) -> str:
    """Return the path of an interval."""
    return f"M{_text(x)} {_text(low)}V{_text(high)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """An axis: from values to places, with ticks."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the place of a value."""
        low, high, at = (log10(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    def ticks(self, most: int = 5) -> list[float]:
        """Return round values on the axis."""
        if not self.log:
            return _round(self.low, self.high, most)
        powers = range(floor(log10(self.low)), ceil(log10(self.high)) + 1)
        for steps in ((1, 2, 5), (1, 3), (1,)):
            found = [v for p in powers for s in steps if self.low <= (v := s * 10.0**p) <= self.high]
            if len(found) <= most:
                break
        return found if len(found) > 1 else _round(self.low, self.high, most)


def scale(
    values: Sequence[float], start: float, end: float, *, log: bool = False, margin: float = 0.06
) -> Scale:
    """Return the axis that shows all values, with a margin at both ends."""
    low, high = min(values), max(values)
    if log:
        wider = (high / low) ** margin if high > low else 2.0
        return Scale(low=low / wider, high=high * wider, start=start, end=end, log=True)
    wider = margin * (high - low) or 1.0
    return Scale(low=low - wider, high=high + wider, start=start, end=end)


def number(value: float) -> str:
    """Return a tick's label."""
    return f"{value:,.10g}" if value == 0 or 1e-3 <= abs(value) < 1e6 else f"{value:.0e}"


def _round(low: float, high: float, most: int) -> list[float]:
    """Return at most so many multiples of 1, 2 or 5 times a power of ten."""
    k = 3 * floor(log10((high - low) / most))
    while floor(high / _step(k)) - ceil(low / _step(k)) + 1 > most:
        k += 1
    return [round(n * _step(k), 12) for n in range(ceil(low / _step(k)), floor(high / _step(k)) + 1)]


def _step(k: int) -> float:
    """Return the k-th of the round steps ..., 0.5, 1, 2, 5, 10, ..., of which 1 is the zeroth."""
    return float((1, 2, 5)[k % 3] * 10.0 ** (k // 3))


def _content(content: str) -> str:
    return escape(printable(content))


def _text(value: object) -> str:
    """Return a number with one decimal, anything else as text."""
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
