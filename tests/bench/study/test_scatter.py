"""The picture of a study: methods can be told apart, and labels of ticks stand beside each other."""

from itertools import pairwise

import matplotlib
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from flatqat.bench.records.store import Store
from flatqat.bench.report.render import load
from flatqat.bench.study.scatter import _set_scale_, _style, drawn
from flatqat.bench.study.study import studied
from tests.helpers import RESULTS


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    """Neighboring labels of ticks that overlap, of all axes."""
    FigureCanvasAgg(figure).draw()
    found = []
    for axes in figure.axes:
        labels = [each for each in axes.get_xticklabels(which="both") if each.get_text()]
        boxes = sorted(
            ((each.get_window_extent(), each.get_text()) for each in labels), key=lambda b: b[0].x0
        )
        inside = [
            (box, text)
            for box, text in boxes
            if axes.bbox.x0 - 1 <= box.x0 + box.width / 2 <= axes.bbox.x1 + 1
        ]
        assert len(inside) >= 2
        found += [(a[1], b[1]) for a, b in pairwise(inside) if a[0].x1 > b[0].x0]
    return found


def test_twenty_methods_differ_in_color_and_in_marker():
    names = [f"method {k}" for k in range(60)]
    styles = [_style(names, name) for name in names]
    colors = {matplotlib.colors.to_hex(style["color"]) for style in styles[:20]}
    assert len(colors) == len({style["marker"] for style in styles[:20]}) == 20
    both = {(matplotlib.colors.to_hex(style["color"]), style["marker"]) for style in styles}
    assert len(both) == 60


def test_the_ticks_of_the_first_study_do_not_overlap():
    store = Store(RESULTS / "first-study")
    ((_, members),) = studied(load(store, None), store, "qat")
    figure = drawn(members)
    assert figure is not None
    assert overlapping(figure) == []


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (0.014, 0.6),
        (0.02, 0.9),
        (1e-6, 3e-1),
        (3e-5, 0.2),
        (2.0, 2000.0),
        (0.001, 0.0011),
        (-1e-4, 2e-4),
        (1e5, 9e6),
    ],
)
def test_ticks_of_any_range_do_not_overlap(low, high):
    figure = Figure(figsize=(4.4, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.plot([low, high], [0, 1])
    _set_scale_(axes)
    assert overlapping(figure) == []
