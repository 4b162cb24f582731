"""Pictures of stored results show the numbers of the tables, whole and in the same bytes each time."""

import pytest

from flatqat.bench.records.store import Store
from flatqat.bench.report import scatter_picture, severity_picture
from flatqat.bench.report.by_method import method_rows
from flatqat.bench.report.by_shift import shift_columns
from flatqat.bench.report.pictures import PLOTS, write_picture
from flatqat.bench.report.render import load
from flatqat.bench.report.tax import taxes
from flatqat.errors import StoreError, UsageError
from flatqat.spec import Cell, Flatness, Record
from tests.helpers import RESULTS
from tests.helpers.cost_records import cost, put
from tests.helpers.records import space_flatness

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


def test_what_cannot_be_drawn_is_told(tmp_path):
    put(tmp_path, "qat", "4", 0.7, cost(9000, 4))
    store = Store(tmp_path)
    sections = load(store, None)
    with pytest.raises(StoreError, match="--plot tax: expected records of full precision and other methods"):
        severity_picture.tax(sections, store)
    with pytest.raises(StoreError, match="--plot flatness: expected records with these numbers, got none"):
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
