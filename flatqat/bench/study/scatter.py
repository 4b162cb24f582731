"""OOD top-1 against the flatness of each run, as SVG: a row for each bit-width, a column for each space."""

import io
from collections.abc import Sequence
from typing import Any

from flatqat.bench.study.compare import OOD
from flatqat.bench.study.correlations import MEASURES, spaces, value_of
from flatqat.bench.study.sentences import bits_in_words
from flatqat.bench.study.study import Study
from flatqat.spec import Space

SHOWN = "sharp 10%"
WIDE = 20  # a larger ratio of the ends gets a logarithmic scale
MARKERS = "osD^vP*Xhp<>d"


def scatter(members: Sequence[Study]) -> bytes | None:
    """Return the picture, or None without flatness.

    The same runs give the same bytes with one version of matplotlib.
    """
    columns = list(dict.fromkeys(space for study in members for space in spaces(study)))
    if not columns:
        return None
    import matplotlib as mpl
    from matplotlib.figure import Figure

    methods = list(dict.fromkeys(runs.method for study in members for runs in study.shown))
    with mpl.rc_context({"svg.hashsalt": "flatqat", "svg.fonttype": "none", "font.size": 9}):
        width, height = 4.4 * len(columns), 3.2 * len(members) + 0.25 * len(methods)
        figure = Figure(figsize=(max(width, 6), height), layout="constrained")
        grid = figure.subplots(len(members), len(columns), squeeze=False, sharey="row")
        for row, study in enumerate(members):
            for column, space in enumerate(columns):
                _panel(grid[row, column], study, space, methods)
            grid[row, 0].set_ylabel("OOD top-1, %")
        handles = [_marker(methods, name) for name in methods]
        legend = figure.legend(
            handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=8
        )
        for text in legend.get_texts():
            text.set_parse_math(False)  # a $ in a name is no formula
        picture = io.BytesIO()
        figure.savefig(picture, format="svg", metadata={"Date": None})
    return picture.getvalue()


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
    low, high = axes.dataLim.intervalx
    if low > 0 and high > WIDE * low:
        axes.set_xscale("log")
    axes.set_xlabel("mean rise of the loss, every filter moved by 10%")
    axes.set_title(f"{bits_in_words(study)}, space {space}", fontsize=9)


def _style(methods: Sequence[str], name: str) -> dict[str, Any]:
    place = methods.index(name)
    marker = MARKERS[place % len(MARKERS)]
    return {"color": f"C{place % 10}", "marker": marker, "markersize": 5, "alpha": 0.85}


def _marker(methods: Sequence[str], name: str) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="none", label=name, **_style(methods, name))
