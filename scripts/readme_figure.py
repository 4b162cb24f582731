"""Draw the README's figure from results/first-study; `--check` only compares.

    python scripts/readme_figure.py [--check]

docs/first-study.svg has a panel per bit width and a row per method: by how many points its OOD accuracy
exceeds that of QAT, with the 95% interval of docs/study.md. It is plain SVG, the same on every machine.
"""

import re
import sys
from html import escape
from pathlib import Path

from flatqat.bench.records.store import Store
from flatqat.bench.report.render import load
from flatqat.bench.study.compare import OOD
from flatqat.bench.study.study import Study, studied

ROOT = Path(__file__).parent.parent
RESULTS, FIGURE, BASELINE = ROOT / "results" / "first-study", ROOT / "docs" / "first-study.svg", "qat"

LABELS, PANEL, GAP, ROW, TOP, BOTTOM = 178, 300, 32, 24, 62, 76  # pixels
REACH = 3.5  # points of top-1 to each side
REFERENCE_COLOR, DECIDED_COLOR, UNDECIDED_COLOR = "#111111", "#0b6bcb", "#8a8f98"
AXIS = "points of top-1 more than QAT at the same bits (mean of {shifts} corruptions, 95% interval)"
LEGEND = "black: full precision, for reference; {decided}gray: undecided after Holm's correction"
STYLE = "font-family='Helvetica, Arial, sans-serif' font-size='13'"


def figure(results: Path) -> str:
    """Return the figure of a results folder that holds one suite and model, as SVG."""
    store = Store(results)
    ((_, studies),) = studied(load(store, None), store, BASELINE)
    studies = sorted(studies, key=lambda study: study.bits, reverse=True)
    methods = rows(studies[0])
    width = LABELS + len(studies) * (PANEL + GAP)
    height = TOP + ROW * len(methods) + BOTTOM
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' {STYLE}>",
        f"<rect width='{width}' height='{height}' fill='white'/>",
        *(
            text(LABELS - 12, TOP + ROW * (row + 0.5) + 4, label(method), anchor="end")
            for row, method in enumerate(methods)
        ),
    ]
    for column, study in enumerate(studies):
        parts += panel(study, methods, left=LABELS + column * (PANEL + GAP))
    middle = LABELS + (len(studies) * (PANEL + GAP) - GAP) / 2
    corruptions = {shift.partition("/")[0] for shift in studies[0].quantities[OOD]}
    decided = any(study.find(method, OOD).is_sure() for study in studies for method in methods)
    legend = LEGEND.format(decided="blue: decided; " if decided else "")
    parts.append(text(middle, height - 36, AXIS.format(shifts=len(corruptions))))
    parts.append(text(middle, height - 12, legend))
    return "\n".join([*parts, "</svg>"]) + "\n"


def rows(study: Study) -> list[str]:
    """Return full precision, then all methods but the baseline, from the best to the worst."""
    others = [runs.method for runs in study.methods if runs is not study.baseline]
    others.sort(key=lambda method: -study.find(method, OOD).estimate.value)
    return [study.reference.method, *others]


def label(method: str) -> str:
    """Return a method's name with the settings that differ from the defaults, without their keys."""
    name, _, settings = method.partition("(")
    values = [value for key, value in re.findall(r"(\w+)=(\w+)", settings) if key != "strength"]
    return f"{name} ({', '.join(values)})" if values else name


def panel(study: Study, methods: list[str], left: float) -> list[str]:
    """Return the parts of one bit width, whose left edge is at `left`."""
    bottom = TOP + ROW * len(methods)
    level = study.baseline.mean(study.quantities[OOD])

    def x(points: float) -> float:
        return left + PANEL * (points + REACH) / (2 * REACH)

    parts = [text(x(0), 22, f"{study.bits} bits", weight="bold"), text(x(0), 42, f"QAT: {level:.1f}%")]
    for tick in range(-int(REACH), int(REACH) + 1):
        color = "#333333" if tick == 0 else "#e3e5e8"
        parts.append(line(x(tick), TOP - 8, x(tick), bottom + 4, color, 1))
        parts.append(text(x(tick), bottom + 20, f"{tick:+d}" if tick else "0"))
    for row, method in enumerate(methods):
        found, y = study.find(method, OOD), TOP + ROW * (row + 0.5)
        color = DECIDED_COLOR if found.is_sure() else UNDECIDED_COLOR
        color = REFERENCE_COLOR if method == study.reference.method else color
        low, value, high = (x(v) for v in (found.estimate.low, found.estimate.value, found.estimate.high))
        parts.append(line(low, y, high, y, color, 2))
        parts.append(f"<circle cx='{value:.1f}' cy='{y:.1f}' r='4' fill='{color}'/>")
    return parts


def text(x: float, y: float, words: str, *, anchor: str = "middle", weight: str = "normal") -> str:
    """Return words at a point."""
    where = f"x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' font-weight='{weight}'"
    return f"<text {where} fill='#111111'>{escape(words)}</text>"


def line(x1: float, y1: float, x2: float, y2: float, color: str, width: int) -> str:
    """Return a straight line."""
    where = f"x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}'"
    return f"<line {where} stroke='{color}' stroke-width='{width}'/>"


def main() -> int:
    """Write the figure, or return 1 if it is out of date."""
    after = figure(RESULTS)
    if "--check" in sys.argv[1:]:
        return int(not FIGURE.exists() or FIGURE.read_text(encoding="utf-8") != after)
    FIGURE.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
