"""OOD top-1 against the flatness of each run, as SVG: a row for each bit-width, a column for each space."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flatqat.bench.records.picture_files import LARGE_RATIO, as_bytes, drawing
from flatqat.bench.records.sections import bits_in_words
from flatqat.bench.study.compare import OOD
from flatqat.bench.study.correlations import MEASURES, spaces, value_of
from flatqat.bench.study.study import Study
from flatqat.spec import Space

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = "sharp 10%"
DECADES = 2  # of a logarithmic scale with more of them, only powers of ten are labeled
MARKERS = "osD^vP*X<>dph8H+x12|"
COLORS = (
    *(f"C{place}" for place in range(10)),
    *("#000000", "#393b79", "#637939", "#8c6d31", "#843c39"),
    *("#f7b6d2", "#9edae5", "#ffbb78", "#98df8a", "#c5b0d5"),
)
"""As many as markers, so that up to 20 methods differ in both, and 400 in one or the other."""


def scatter(members: Sequence[Study]) -> bytes | None:
    """Return the picture, or None without flatness.

    The same runs give the same bytes with one version of matplotlib.
    """
    with drawing():
        figure = drawn(members)
        return as_bytes(figure, ".svg") if figure else None


def drawn(members: Sequence[Study]) -> "Figure | None":
    """Return the picture as a figure of matplotlib, or None without flatness."""
    columns = list(dict.fromkeys(space for study in members for space in spaces(study)))
    if not columns:
        return None
    from matplotlib.figure import Figure

    methods = list(dict.fromkeys(runs.method for study in members for runs in study.shown))
    width, height = 4.4 * len(columns), 3.2 * len(members) + 0.25 * len(methods)
    figure = Figure(figsize=(max(width, 6), height), layout="constrained")
    grid = figure.subplots(len(members), len(columns), squeeze=False, sharey="row")
    for row, study in enumerate(members):
        for column, space in enumerate(columns):
            _panel(grid[row, column], study, space, methods)
        grid[row, 0].set_ylabel("OOD top-1, %")
    handles = [_marker(methods, name) for name in methods]
    legend = figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    for text in legend.get_texts():
        text.set_parse_math(False)  # a $ in a name is not a formula
    return figure


def _panel(axes: Any, study: Study, space: Space, methods: Sequence[str]) -> None:
    for runs in study.shown:
        points = [
            (value, runs.value(seed, study.quantities[OOD]))
            for seed, record in runs.records.items()
            if (value := value_of(record, space, MEASURES[SHOWN])) is not None
        ]
        if points:
            x, y = zip(*points, strict=True)
            axes.plot(x, y, linestyle="none", **_style(methods, runs.method))
    _set_scale_(axes)
    axes.set_xlabel("mean rise of the loss, every filter moved by 10%")
    axes.set_title(f"{bits_in_words(study.bits)}, space {space}", fontsize=9)


def _set_scale_(axes: Any) -> None:
    """Give an axis a linear or a logarithmic scale, and few enough ticks for their labels."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

    low, high = axes.dataLim.intervalx
    if low > 0 and high > LARGE_RATIO * low:
        axes.set_xscale("log")
        labeled = (1, 2, 5) if high < 10**DECADES * low else (1,)
        axes.xaxis.set_major_locator(LogLocator(subs=labeled, numticks=7))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:.3g}"))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6))


def _style(methods: Sequence[str], name: str) -> dict[str, Any]:
    place = methods.index(name)
    marker = MARKERS[(place + place // len(COLORS)) % len(MARKERS)]
    return {"color": COLORS[place % len(COLORS)], "marker": marker, "markersize": 5, "alpha": 0.85}


def _marker(methods: Sequence[str], name: str) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="none", label=name, **_style(methods, name))
