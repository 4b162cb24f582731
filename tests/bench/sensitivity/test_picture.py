"""The picture of layers names those that cost most, and says what its colors are."""

import pytest
from matplotlib.figure import Figure

from flatqat.bench.sensitivity.differences import ID, OOD, LayerChanges
from flatqat.bench.sensitivity.picture import NAMED, _panel
from flatqat.metrics.estimate import Estimate


def change(value: float, error: float = 0.1) -> Estimate:
    return Estimate(
        value=value,
        seed_variance=0.0,
        image_variance=error**2,
        seed_freedom=0,
        image_freedom=1e9,
        seeds=1,
        images=100,
    )


def axes_of(values: list[float]):
    changes = [change(value) for value in values]
    names = tuple(f"layer{k}" for k in range(len(values)))
    axes = Figure().subplots()
    _panel(axes, LayerChanges(networks=names, deltas={ID: changes, OOD: changes}, halves={}, base={}))
    return axes


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([-0.1, -3.0, 0.2, -0.05], ["layer1", "layer0", "layer3"]),  # one of three beyond doubt
        ([-1.0 * k for k in range(9)], [f"layer{k}" for k in range(8, 2, -1)]),
        ([0.1, 0.2], []),
    ],
)
def test_the_costliest_are_named_whether_beyond_doubt_or_not(values, names):
    axes = axes_of(values)
    legend = axes.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["other layers", *names]
    assert len(names) <= NAMED
    hollow = [line for line in axes.get_lines() if line.get_markerfacecolor() == "white"]
    assert len(hollow) == sum(values[int(name[5:])] > -0.196 for name in names)
    said = legend.get_title().get_text()
    assert said.startswith("colors: what costs most under shift") == bool(names)
    assert ("hollow: its interval there holds zero" in said) == bool(names)
