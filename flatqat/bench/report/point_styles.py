"""Colors and markers that tell the points of a picture apart, and the legend that says what they mean."""

from collections.abc import Mapping, Sequence
from typing import Any

from flatqat.bench.records.sections import row_label
from flatqat.console.printable import printable

COLORS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8A8F98")
"""Those of Okabe and Ito (2008), told apart by all common kinds of color vision, gray in place of yellow."""
MARKERS = "osD^vP*X<>"
SIZE = 5
NEUTRAL = "#555555"

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


def of_rows(rows: Sequence[Kind], style_of: Mapping[Kind, Style] | None = None) -> list[tuple[str, Style]]:
    """Return the names and styles of a legend of methods and their bits, in place of models."""
    found = styles(rows) if style_of is None else style_of
    return [(printable(row_label(row)), found[row]) for row in dict.fromkeys(rows)]


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
