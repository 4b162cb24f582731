"""The picture of accuracy against cost: its points and front by hand, and what can be read in it."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from flatqat.bench.records.store import Store
from flatqat.bench.report.pareto import front, panels
from flatqat.bench.report.pareto_picture import beside, drawn
from flatqat.bench.report.point_styles import legend_entries, styles
from flatqat.bench.report.render import load
from flatqat.errors import StoreError
from tests.helpers.cost_records import SHIFTS, cost, put


@pytest.fixture
def store(tmp_path) -> Store:
    for seed, ood in enumerate((0.70, 0.72)):
        put(tmp_path, "fp", "fp", 0.8, cost(9000, 32), seed=seed)
        put(tmp_path, "qat", "4", ood, cost(9000, 4), seed=seed)
        put(tmp_path, "sam", "4", ood + 0.02, cost(9000, 4), seed=seed)
    put(tmp_path, "$ptq", "8", 0.9, None)
    return Store(tmp_path)


def test_the_front_is_what_a_search_through_all_pairs_finds():
    rng = np.random.default_rng(0)
    for count in (1, 2, 7, 40):
        points = [(float(x), float(y)) for x, y in rng.integers(1, 9, (count, 2))]

        def surpassed(k, points=points):
            (cost, value) = points[k]
            return any(c <= cost and v >= value and (c, v) != (cost, value) for c, v in points)

        found = front(points)
        assert sorted(found) == [k for k in range(count) if not surpassed(k)]
        assert [points[k] for k in found] == sorted(points[k] for k in found)
    assert front([(1.0, 5.0), (2.0, 4.0), (1.0, 5.0)]) == [0, 2]


def test_a_point_is_the_mean_over_seeds_with_the_reports_interval(store):
    (panel,) = panels(load(store, None), store)
    points = {(p.method, p.bits): p for p in panel.points}
    qat = points["qat", "4"]
    assert (qat.size, qat.bops, qat.seeds) == (4500 + 1001, 1_234_567_891 * 16, 2)
    assert qat.ood == pytest.approx(71)
    assert qat.ends[0] < 70 < 72 < qat.ends[1]
    assert panel.without == ("m $ptq 8",)


def test_suites_have_panels_of_their_own_and_models_share_one(tmp_path):
    put(tmp_path, "qat", "4", 0.7, cost(9000, 4))
    put(tmp_path, "qat", "4", 0.7, cost(90000, 4), model="n")
    put(tmp_path, "qat", "4", 0.7, cost(9000, 4), recipe="long")
    put(tmp_path, "qat", "4", 0.7, cost(9000, 4), suite="t")
    of_s, of_t = panels(load(Store(tmp_path), None), Store(tmp_path))
    kinds = {(p.method, p.model) for p in of_s.points}
    assert kinds == {("qat (recipe b)", "m"), ("qat (recipe b)", "n"), ("qat (recipe long)", "m")}
    assert (of_s.title, of_t.title) == ("s v1", "t v1 · m · recipe b")


def test_cells_on_fewer_images_and_adapted_ones_have_panels_of_their_own(tmp_path):
    for fields in ({}, {"limit": 100}, {"adapt": "bn"}):
        put(tmp_path, "qat", "4", 0.7, cost(9000, 4), **fields)
    found = panels(load(Store(tmp_path), None), Store(tmp_path))
    assert [len(panel.points) for panel in found] == [1, 1, 1]


def test_records_without_a_cost_name_the_command_that_adds_it(tmp_path):
    put(tmp_path, "fp", "fp", 0.8, None)
    with pytest.raises(StoreError, match=rf"flatqat cost '\*' --results {tmp_path} --data-root DATA"):
        panels(load(Store(tmp_path), None), Store(tmp_path))


def test_points_of_one_cost_stand_side_by_side_and_groups_apart():
    costs = [1.0, 1.0, 1.0, 1.3, 1.3, 100.0]
    places, groups = beside(costs, [2, 1, 0, 0, 1, 0])
    assert [sorted(group) for group in groups] == [[0, 1, 2], [3, 4], [5]]
    assert places[2] < places[1] < places[0] < places[3] < places[4]
    assert places[1] == pytest.approx(1.0)
    assert places[5] == 100.0
    assert beside([5.0], [0])[0] == [5.0]


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (cost(9000, 4), "expected records with a cost and scores under shift .*, got none that has both"),
        (None, "expected records with the cost of their network, got none; add it with: flatqat cost"),
    ],
)
def test_without_points_the_error_says_what_is_missing(tmp_path, monkeypatch, of, said):
    """A suite without shifts has no OOD, which no cost mends."""
    if of:
        monkeypatch.delitem(SHIFTS, "fog/1")
    put(tmp_path, "qat", "4", 0.7, of)
    store = Store(tmp_path)
    with pytest.raises(StoreError, match=f"^--plot pareto: {said}"):
        panels(load(store, None), store)


def test_colors_and_markers_tell_methods_and_models_apart():
    many = [(f"method {k}", "m") for k in range(40)]
    looks = [(s["color"], s["marker"]) for s in styles(many).values()]
    assert len(set(looks)) == 40
    assert all(a[0] != b[0] and a[1] != b[1] for a, b in combinations(looks[:8], 2))
    crossed = styles([(a, b) for a in ("qat", "sam") for b in ("m", "n")])
    assert crossed["qat", "m"]["color"] == crossed["qat", "n"]["color"] != crossed["sam", "m"]["color"]
    assert crossed["qat", "m"]["marker"] == crossed["sam", "m"]["marker"] != crossed["qat", "n"]["marker"]
    assert [name for name, _ in legend_entries(list(crossed))] == ["qat", "sam", "m", "n"]
    assert [name for name, _ in legend_entries([*many[:2], ("fp", "m")])] == ["method 0", "method 1", "fp"]


def test_the_picture_shows_points_bars_front_bits_and_what_is_counted(store):
    figure = drawn(load(store, None), store)
    FigureCanvasAgg(figure).draw()
    by_size, by_bops = figure.axes
    for axes, unit, x in ((by_size, 1e6, (36000 + 1001) / 1e6), (by_bops, 1e9, 1.234567891 * 1024)):
        assert axes.get_xscale() == "log"
        (fp,) = (c for c in axes.containers if c.lines[0].get_color() == "#000000")
        assert fp.lines[0].get_xdata()[0] == pytest.approx(x), unit
        assert fp.lines[0].get_ydata()[0] == pytest.approx(80)
        (front_line,) = (line for line in axes.lines if line.get_drawstyle() == "steps-post")
        assert list(front_line.get_ydata()) == pytest.approx([73, 80]), "sam at 4 bits, then full precision"
        assert [text.get_text() for text in axes.texts] == ["4 bits", "fp"]
    legend = figure.legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["fp", "qat", "sam"]
    notes = " ".join(legend.get_title().get_text().split())
    for said in (
        "intervals over seeds and images",
        "packed at their bits",
        "Not shown, without a cost: m $ptq 8",
    ):
        assert said in notes
    assert legend.get_window_extent().y1 < by_size.xaxis.label.get_window_extent().y0
