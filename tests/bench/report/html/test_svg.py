"""The parts of plots: scales and their ticks, and that no text becomes markup."""

from itertools import pairwise
from math import log10

import pytest

from flatqat.bench.report.html import svg


@pytest.mark.parametrize(
    "values", [(0.0, 100.0), (61.2, 67.9), (-3.0, 0.4), (5.0, 5.0), (1e-4, 3e-4), (1.0, 1e6)]
)
@pytest.mark.parametrize("most", [4, 6])
def test_ticks_are_few_round_and_on_the_axis(values, most):
    axis = svg.scale(values, 0.0, 100.0)
    ticks = axis.ticks(most)
    assert 2 <= len(ticks) <= most
    assert all(axis.low <= tick <= axis.high for tick in ticks)
    assert ticks[0] - (ticks[1] - ticks[0]) < axis.low
    assert ticks[-1] + (ticks[1] - ticks[0]) > axis.high
    steps = {round(b - a, 12) for a, b in pairwise(ticks)}
    (step,) = {f"{step:.6e}" for step in steps}
    assert step[0] in "125"
    assert step[1:].startswith(".000000")


@pytest.mark.parametrize("values", [(0.01, 0.07), (3.0, 3.0), (1.0, 1e6), (146.0, 1.25e5), (100.0, 110.0)])
def test_a_logarithmic_axis_has_ticks_on_it(values):
    axis = svg.scale(values, 0.0, 100.0, log=True)
    ticks = axis.ticks(6)
    assert len(ticks) >= 2
    assert all(axis.low <= tick <= axis.high for tick in ticks)
    at = [axis(value) for value in values]
    assert 0 < at[0] <= at[1] < 100
    share = (log10(values[0]) - log10(axis.low)) / (log10(axis.high) - log10(axis.low))
    assert at[0] == pytest.approx(100 * share)


def test_a_scale_may_run_upwards():
    axis = svg.Scale(low=0.0, high=10.0, start=150.0, end=50.0)
    assert [axis(value) for value in (0.0, 5.0, 10.0)] == [150.0, 100.0, 50.0]


def test_texts_and_attributes_are_escaped():
    evil = '"><script>&\x1b[31m'
    for made in (
        svg.text(evil, 1.0, 2.0),
        svg.title(evil),
        svg.figure(evil, evil, 1, 1),
        svg.tag("g", d=evil),
    ):
        assert "<script" not in made
    assert "\x1b" not in svg.title(evil)
    assert svg.tag("path", class_="l", d=None, stroke_width=1.0) == '<path class="l" stroke-width="1"></path>'


@pytest.mark.parametrize(("value", "text"), [(0.0, "0"), (0.02, "0.02"), (1250.0, "1,250"), (1e7, "1e+07")])
def test_labels_of_ticks(value, text):
    assert svg.number(value) == text
