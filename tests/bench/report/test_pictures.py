"""Pictures of stored results show the numbers of the tables, whole and in the same bytes each time."""

from dataclasses import replace
from math import inf, nan

import pytest

from flatqat.bench.records.store import Store
from flatqat.bench.report import scatter_picture, severity_picture
from flatqat.bench.report.by_method import method_rows
from flatqat.bench.report.by_shift import shift_columns
from flatqat.bench.report.figures import LINE_COLOR, bars_note
from flatqat.bench.report.ordinary_bars import limits
from flatqat.bench.report.pictures import PLOTS, write_picture
from flatqat.bench.report.point_styles import row_entries, row_styles
from flatqat.bench.report.render import load
from flatqat.bench.report.tax import taxes
from flatqat.errors import StoreError, UsageError
from flatqat.spec import Cell, Flatness, Record
from tests.helpers import RESULTS, cost_records, street_records, study_records
from tests.helpers.cost_records import cost, put
from tests.helpers.records import shift_info, space_flatness

LOOK = Store(RESULTS / "first-look")
(SECTION,) = load(LOOK, None)
ROWS = {"fp": ("fp", "fp"), "qat 4": ("qat", "4"), "anchor 4": ("anchor", "4")}


def panels(figure):
    """The visible axes by title."""
    return {axes.get_title(loc="left"): axes for axes in figure.axes if axes.get_visible()}


@pytest.mark.parametrize(
    ("plot", "suffix"), [*((plot, ".svg") for plot in PLOTS), ("id-ood", ".png"), ("id-ood", ".pdf")]
)
def test_the_same_results_give_the_same_bytes_and_no_other_file(tmp_path, plot, suffix):
    files = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for file in files:
        write_picture(plot, [SECTION], LOOK, file)
    first, second = (file.read_bytes() for file in files)
    assert first == second
    assert len(first) > 5000
    assert len(list(tmp_path.iterdir())) == 2


def test_severity_has_a_panel_for_each_corruption_with_the_tables_numbers():
    figure = severity_picture.scores([SECTION], LOOK)
    columns = shift_columns(SECTION, "shift")
    drawn = panels(figure)
    assert len(drawn) == 14
    lines = drawn["fog"].get_lines()
    for line, label in zip(lines, ROWS, strict=True):
        expected = [columns[label][name] for name in ("id", *(f"fog/{k}" for k in range(1, 6)))]
        assert line.get_ydata().tolist() == expected
    assert [text.get_text() for text in drawn["fog"].get_xticklabels()] == ["ID", "1", "2", "3", "4", "5"]


def test_what_the_axis_shows_is_said(tmp_path):
    store = Store(tmp_path)
    street_records.put(store, street_records.FP, street_records.matrices())
    shown = {where: " ".join(legend_of(severity_picture.scores(load(where, None), where)).split())
             for where in (LOOK, store)}  # fmt: skip
    assert "Means over seeds at each severity, ID first." in shown[LOOK]
    assert "Means over seeds on each shift, none of which has severities, ID first." in shown[store]


def legend_of(figure) -> str:
    (legend,) = figure.legends
    return legend.get_title().get_text()


def test_tax_is_the_paired_difference_with_its_interval():
    figure = severity_picture.tax([SECTION], LOOK)
    found = taxes(SECTION, LOOK)
    axes = panels(figure)["contrast"]
    qat, *_ = axes.get_lines()
    names = ["ID", *(f"contrast/{k}" for k in range(1, 6))]
    assert qat.get_ydata().tolist() == [found[name]["qat", "4"].value for name in names]
    spans = [tuple(path.vertices[:, 1]) for bars in axes.collections for path in bars.get_paths()]
    for name in names:
        one = found[name]["qat", "4"]
        assert any(span == pytest.approx((one.low, one.high)) for span in spans)
    assert len(figure.legends[0].get_texts()) == 2, "full precision is zero, and no line"


def test_bars_of_a_tax_are_of_the_seeds_that_full_precision_shares(tmp_path):
    store = Store(tmp_path)
    cell = study_records.CELL
    study_records.put(store, replace(cell, method="fp", quant="fp"), study_records.right_of(0, 0.02, {}, [0]))
    for seed in range(3):
        study_records.put(store, replace(cell, seed=seed), study_records.right_of(seed, 0.02, {}, [1]))
    note = " ".join(legend_of(severity_picture.tax(load(store, None), store)).split())
    assert bars_note([1]) in note
    assert bars_note([3]) not in note


@pytest.mark.parametrize(
    ("draw", "columns"),
    [
        (scatter_picture.id_ood, ["id_top1"]),
        (scatter_picture.flatness, ["lambda_max", "sharpness"]),
    ],
)
def test_points_are_the_rows_of_the_table(draw, columns):
    figure = draw([SECTION], LOOK)
    rows = method_rows(SECTION, LOOK)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert len(shown) == len(columns)
    for axes, column in zip(shown, columns, strict=True):
        points = {tuple(map(float, c.lines[0].get_xydata()[0])) for c in axes.containers}
        assert points == {(row[column], row["ood_top1"]) for row in rows}


def test_a_method_has_one_look_and_the_bits_another():
    few = [("fp", "fp"), ("qat", "3"), ("sam", "3")]
    many = [*few, ("qat", "4"), ("sam", "4"), ("ema", "4")]
    styles = row_styles(many, lines=True)
    look = {row: (style["color"], style["marker"]) for row, style in styles.items()}
    width = {row: (style["linestyle"], style["fillstyle"]) for row, style in styles.items()}
    assert look["qat", "3"] == look["qat", "4"]
    assert len({look[row] for row in many}) == 4, "of as many methods"
    assert width["qat", "3"] == width["sam", "3"] == width["fp", "fp"] == ("-", "full")
    assert width["qat", "4"] == width["ema", "4"] == ("--", "none")
    assert {row: styles[row] for row in few} == row_styles(few, lines=True), "kept when rows are added"
    assert {style["linestyle"] for style in row_styles(many, lines=False).values()} == {"none"}


def test_a_legend_names_methods_and_bits_once():
    many = [("fp", "fp"), ("qat", "3"), ("sam", "3"), ("qat", "4"), ("sam", "w4a8")]
    styles = row_styles(many, lines=True)
    entries = dict(row_entries(many, styles))
    assert list(entries) == ["fp", "qat", "sam", "3 bits", "4 bits", "w4a8"]
    assert entries["qat"]["color"] == styles["qat", "4"]["color"]
    assert entries["qat"]["fillstyle"] == "full"
    assert entries["4 bits"]["linestyle"] == styles["qat", "4"]["linestyle"]
    assert entries["4 bits"]["color"] not in {style["color"] for style in styles.values()}
    assert [name for name, _ in row_entries(many[:3], styles)] == ["fp", "qat 3", "sam 3"]


def test_where_nothing_is_joined_the_legend_has_no_lines(tmp_path, monkeypatch):
    monkeypatch.setitem(cost_records.SHIFTS, "fog/1", shift_info("weather"))
    put(tmp_path, "qat", "4", 0.7, cost(9000, 4))
    store = Store(tmp_path)
    for figure, line in (
        (severity_picture.scores(load(store, None), store), "None"),
        (severity_picture.scores([SECTION], LOOK), "-"),
    ):
        assert {handle.get_linestyle() for handle in figure.legends[0].legend_handles} == {line}


def test_notes_are_of_what_is_drawn(tmp_path):
    """The line of equal accuracies only where the picture has room for it; of one seed or of several."""
    for ood in (0.7, 0.9):
        put(tmp_path / str(ood), "qat", "4", ood, cost(9000, 4))
    far, near = (Store(tmp_path / str(ood)) for ood in (0.7, 0.9))
    for store, equal in ((far, False), (near, True)):
        figure = scatter_picture.id_ood(load(store, None), store)
        said = " ".join(figure.legends[0].get_title().get_text().split())
        lines = [line for line in figure.axes[0].get_lines() if line.get_color() == LINE_COLOR]
        assert bool(lines) == ("Gray line" in said) == equal
        assert "of one training run over its images alone" in said
    assert "over seeds and images together" in notes_of(scatter_picture.id_ood([SECTION], LOOK))
    assert "--format" not in notes_of(scatter_picture.flatness([SECTION], LOOK))


def notes_of(figure):
    return " ".join(figure.legends[0].get_title().get_text().split())


def test_one_long_bar_does_not_stretch_the_axis():
    ordinary = [("a", 1.0, (-1.0, 3.0)), ("a", 2.0, (0.0, 4.0)), ("b", 0.0, (-8.0, 8.0))]
    assert limits(ordinary) is None
    low, high = limits([*ordinary, ("a", 0.0, (-40.0, 40.0))])
    assert -10 < low < -8
    assert 8 < high < 10
    low, high = limits([*ordinary, ("a", 30.0, (-40.0, 100.0))])
    assert 30 < high < 34, "no value is cut"
    assert limits([("a", 1.0, None), ("b", 2.0, None)]) is None
    assert limits([]) is None
    low, high = limits([*ordinary, ("c", 0.0, (-inf, inf)), ("c", nan, None)])
    assert -10 < low < high < 10


def test_a_bar_that_is_cut_has_an_arrow_and_a_note(monkeypatch):
    found = {name: dict(of_set) for name, of_set in taxes(SECTION, LOOK).items()}
    one = found["fog/3"]["qat", "4"]
    assert "arrow" not in notes_of(severity_picture.tax([SECTION], LOOK))
    found["fog/3"]["qat", "4"] = replace(one, image_variance=1e4)
    monkeypatch.setattr(severity_picture, "taxes", lambda *args: found)
    figure = severity_picture.tax([SECTION], LOOK)
    assert "An arrow at the edge: the bar goes on." in notes_of(figure)
    axes = panels(figure)["fog"]
    low, high = axes.get_ylim()
    assert high - low < 60
    arrows = [line.get_ydata()[0] for line in axes.get_lines() if not line.get_clip_on()]
    assert arrows == [low, high]
    assert all(line.get_clip_on() for line in panels(figure)["frost"].get_lines())


def test_what_cannot_be_drawn_is_told(tmp_path):
    put(tmp_path, "qat", "4", 0.7, cost(9000, 4))
    store = Store(tmp_path)
    sections = load(store, None)
    with pytest.raises(StoreError, match="--plot tax: expected full precision and another method"):
        severity_picture.tax(sections, store)
    with pytest.raises(StoreError, match="--plot flatness: expected finished cells with flatness, got none"):
        scatter_picture.flatness(sections, store)
    with pytest.raises(UsageError, match="expected one of flatness, id-ood, pareto, severity, tax"):
        write_picture("pie", sections, store, tmp_path / "pie.png")
    assert not (tmp_path / "pie.png").exists()


@pytest.mark.parametrize("plot", PLOTS)
def test_a_model_that_failed_stops_no_picture(tmp_path, plot):
    for method, quant in (("fp", "fp"), ("qat", "4")):
        put(tmp_path, method, quant, 0.7, cost(9000, 4), flatness=Flatness(quantized=space_flatness()))
    failed = Cell(suite="s", suite_version=1, model="other", recipe="b", method="qat", quant="4", seed=0)
    Store(tmp_path).write_record(Record(cell=failed, status="failed", reason="boom"))
    store = Store(tmp_path)
    write_picture(plot, load(store, None), store, tmp_path / "picture.svg")
    assert (tmp_path / "picture.svg").exists()


def test_a_title_that_is_wider_than_its_panel_has_several_lines():
    section = replace(SECTION, title="a suite with one corruption and a long name of its recipe, " * 3)
    for draw in (severity_picture.scores, severity_picture.tax):
        (part,) = draw([section], LOOK).subfigs
        assert part.get_suptitle().count("\n") >= 1
        assert " ".join(part.get_suptitle().split()) == section.title.strip()
