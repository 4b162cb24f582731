"""The picture of the second study: the anchor minus QAT by bits, and QAT minus full precision by corruption.

It is plain SVG, the same on every machine.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from flatqat.metrics.estimate import Estimate
from scripts.study_2.contrast import AS_GOOD, contrasts
from scripts.study_2.rows import Rows
from scripts.study_2.tax import by_corruption, is_sure

LABELS, PANEL, GAP, ROW, TOP, BOTTOM = 130, 290, 40, 22, 66, 78  # pixels
DECIDED, UNDECIDED, BAND = "#0b6bcb", "#8a8f98", "#eef3f8"
STYLE = "font-family='Helvetica, Arial, sans-serif' font-size='13'"
LEGEND = (
    "points of top-1 with 95% intervals",
    'blue: different after Holm\'s correction; shaded: "as good"',
)
SHOWN_BITS = "3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One difference of a panel, and whether it is decided."""

    label: str
    estimate: Estimate
    sure: bool


def figure(rows: Rows) -> str:
    """Return the picture of what is there; the second panel only where full precision is."""
    anchor = [
        Line(label=f"{c.bits} bits: {c.answer}", estimate=c.ood, sure=c.answer in ("better", "worse"))
        for c in contrasts(rows)
    ]
    taxes = by_corruption(rows, SHOWN_BITS)
    by_value = sorted(taxes.items(), key=lambda item: -item[1][0].value)
    qat = [Line(label=n.replace("_", " "), estimate=e, sure=is_sure(p)) for n, (e, p) in by_value]
    panels = [("anchor-QAT minus QAT", "mean of 15 corruptions", anchor, AS_GOOD)]
    if qat:
        panels.append((f"QAT at {SHOWN_BITS} bits minus full precision", "by corruption", qat, 0.0))
    width, height = len(panels) * (LABELS + PANEL + GAP), TOP + ROW * max(map(len, (anchor, qat))) + BOTTOM
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' {STYLE}>",
        f"<rect width='{width}' height='{height}' fill='white'/>",
    ]
    for place, (title, of_what, lines, band) in enumerate(panels):
        parts += _panel(title, of_what, lines, band, left=place * (LABELS + PANEL + GAP) + LABELS)
    parts += [_text(width / 2, height - 30 + 18 * place, words) for place, words in enumerate(LEGEND)]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(title: str, of_what: str, lines: Sequence[Line], band: float, left: float) -> list[str]:
    """Return the parts of a panel, whose axis begins at `left` and reaches as far as its intervals."""
    bottom = TOP + ROW * len(lines)
    reach = max(1.2, *(max(abs(line.estimate.low), abs(line.estimate.high)) for line in lines)) * 1.05
    step = next(s for s in (0.5, 1, 2, 5, 10, 20, 50) if reach / s <= 4)

    def x(points: float) -> float:
        return left + PANEL * (points + reach) / (2 * reach)

    parts = [_text(x(0), 22, title, weight="bold"), _text(x(0), 42, of_what)]
    if band:
        parts.append(
            f"<rect x='{x(-band):.1f}' y='{TOP - 8}' width='{x(band) - x(-band):.1f}' "
            f"height='{bottom - TOP + 12}' fill='{BAND}'/>"
        )
    ticks = int(reach / step)
    for tick in range(-ticks, ticks + 1):
        color = "#333333" if tick == 0 else "#e3e5e8"
        parts.append(_line(x(tick * step), TOP - 8, x(tick * step), bottom + 4, color, 1))
        parts.append(_text(x(tick * step), bottom + 20, f"{tick * step:+g}" if tick else "0"))
    for place, line in enumerate(lines):
        y, color = TOP + ROW * (place + 0.5), DECIDED if line.sure else UNDECIDED
        low, value, high = (x(v) for v in (line.estimate.low, line.estimate.value, line.estimate.high))
        parts.append(_text(left - 8, y + 4, line.label, anchor="end"))
        parts.append(_line(low, y, high, y, color, 2))
        parts.append(f"<circle cx='{value:.1f}' cy='{y:.1f}' r='4' fill='{color}'/>")
    return parts


def _text(x: float, y: float, words: str, *, anchor: str = "middle", weight: str = "normal") -> str:
    where = f"x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' font-weight='{weight}'"
    return f"<text {where} fill='#111111'>{escape(words)}</text>"


def _line(x1: float, y1: float, x2: float, y2: float, color: str, width: int) -> str:
    where = f"x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}'"
    return f"<line {where} stroke='{color}' stroke-width='{width}'/>"
