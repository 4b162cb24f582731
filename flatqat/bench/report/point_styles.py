"""Colors and markers that tell the points of a picture apart, and the legend that says what they mean."""

from collections.abc import Mapping, Sequence
from typing import Any

from flatqat.bench.records.sections import bits_in_words, row_label
from flatqat.console.printable import printable

COLORS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8A8F98")
"""Those of Okabe and Ito (2008), told apart by all common kinds of color vision, gray in place of yellow."""
MARKERS = "osD^vP*X<>"
DASHES, FILLINGS = ("-", "--", ":", "-."), ("full", "none", "left", "bottom")
SIZE, LARGER = 5, 6  # points; the larger one where markers are open, too
NEUTRAL = "#555555"
FULL = "fp"  # the bits of floating point

Kind = tuple[str, str]
"""A method and a model, or a method and its bits."""
Style = Mapping[str, Any]


def styles(kinds: Sequence[Kind]) -> dict[Kind, Style]:
    """Return a style for each kind of point.

    If there are several models and few methods, the color is the method and the marker the model. Else every
    kind has a color and a marker, of which both differ for eight kinds, and one for eighty.
    """
    methods, models = _names(kinds)
    if _is_crossed(methods, models):
        return {(a, b): _style(methods.index(a), models.index(b)) for a, b in kinds}
    different = list(dict.fromkeys(kinds))
    return {kind: _style(k, k + k // len(COLORS)) for k, kind in enumerate(different)}


def legend_entries(kinds: Sequence[Kind]) -> list[tuple[str, Style]]:
    """Return the names and styles of a legend: of kinds, or of colors first and then of markers."""
    methods, models = _names(kinds)
    if not _is_crossed(methods, models):
        of_kinds = styles(kinds).items()
        return [
            (printable(method if len(models) == 1 else f"{model} {method}"), style)
            for (method, model), style in of_kinds
        ]
    colors = [(printable(m), {"color": COLORS[k], "linewidth": SIZE}) for k, m in enumerate(methods)]
    markers = [
        (printable(m), {**_style(0, k), "color": NEUTRAL, "linestyle": "none"}) for k, m in enumerate(models)
    ]
    return [*colors, *markers]


def row_styles(rows: Sequence[Kind], *, lines: bool) -> dict[Kind, Style]:
    """Return a style for each (method, bits): color and marker of the method, filling and dash of the bits.

    So a method looks the same at all bits, and keeps its look when other bits are added. With `lines` the
    styles have a line.
    """
    methods, widths = _names(rows)[0], _widths(rows)
    found: dict[Kind, Style] = {}
    for method, bits in rows:
        color, place = methods.index(method), widths.index(bits) if bits in widths else 0
        dash = DASHES[place % len(DASHES)] if lines else "none"
        filling = FILLINGS[place % len(FILLINGS)]
        found[method, bits] = {
            **_style(color, color + color // len(COLORS)),
            "markersize": LARGER,
            "markeredgewidth": 0.8,
            "fillstyle": filling,
            "linestyle": dash,
        }
    return found


def row_entries(rows: Sequence[Kind], style_of: Mapping[Kind, Style]) -> list[tuple[str, Style]]:
    """Return the names and styles of a legend of rows: of each, or of the methods and then of the bits."""
    if len(_widths(rows)) < 2:
        return [(printable(row_label(row)), style_of[row]) for row in dict.fromkeys(rows)]
    lines = style_of[rows[0]]["linestyle"] != "none"
    plain = {"fillstyle": FILLINGS[0], "linestyle": DASHES[0] if lines else "none"}
    methods = {printable(row[0]): {**style_of[row], **plain} for row in rows}
    neutral = {"color": NEUTRAL, "marker": MARKERS[0]}
    quantized = [row for row in rows if row[1] != FULL]
    widths = {printable(bits_in_words(row[1])): {**style_of[row], **neutral} for row in quantized}
    return [*methods.items(), *widths.items()]


def _widths(rows: Sequence[Kind]) -> list[str]:
    """Return the bits of rows but those of floating point, which are drawn as the first."""
    return list(dict.fromkeys(bits for _, bits in rows if bits != FULL))


def _names(kinds: Sequence[Kind]) -> tuple[list[str], list[str]]:
    methods, models = zip(*kinds, strict=True)
    return list(dict.fromkeys(methods)), list(dict.fromkeys(models))


def _is_crossed(methods: Sequence[str], models: Sequence[str]) -> bool:
    return 1 < len(models) <= len(MARKERS) and len(methods) <= len(COLORS)


def _style(color: int, marker: int) -> dict[str, Any]:
    return {
        "color": COLORS[color % len(COLORS)],
        "marker": MARKERS[marker % len(MARKERS)],
        "markersize": SIZE,
        "linestyle": "none",
    }
