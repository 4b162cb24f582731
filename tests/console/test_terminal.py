"""What is printed stays readable where it is wide."""

import pytest
from rich.console import Console

from flatqat.bench.records.store import Store
from flatqat.bench.report.render import load, show
from flatqat.console.terminal import plain_table
from tests.helpers import RESULTS


def test_long_names_go_over_lines_and_leave_the_numbers_whole():
    table = plain_table("layer", "bits", "codes", left=("layer",), wrapped=("layer",))
    table.add_row("encoder.layers." * 10, "4", "12345")
    console = Console(width=60)
    with console.capture() as capture:
        console.print(table)
    text = capture.get()
    assert "12345" in text
    assert "…" not in text
    assert text.count("encoder") == 10


def test_bits_of_many_layers_do_not_squeeze_the_methods():
    table = plain_table("method", "bits", "ID", left=("method", "bits"))
    table.add_row("lookahead 2x steps", "w2a4@apot (keep last; stage3.*=w8a4)", "82.0 ±5.4")
    console = Console(width=50)
    with console.capture() as capture:
        console.print(table)
    text = capture.get()
    assert "lookahead 2x steps" in text
    assert "82.0 ±5.4" in text
    assert "…" not in text


@pytest.mark.parametrize(
    ("folder", "width", "gone"),
    [
        ("first-look", 90, []),
        ("first-look", 80, ["NLL", "ECE"]),
        ("first-look", 60, ["NLL", "ECE", "λmax", "sharp", "gap"]),
        ("first-study", 140, []),
        ("first-study", 80, ["NLL", "ECE", "λmax", "sharp"]),
        ("first-study", 60, ["NLL", "ECE", "λmax", "sharp", "gap", "seeds"]),
    ],
)
def test_narrow_terminals_go_without_columns(folder, width, gone):
    """Names of methods and all numbers stay whole; long settings go over lines."""
    store, console = Store(RESULTS / folder), Console(width=width)
    with console.capture() as capture:
        show(load(store, None), store, "method", console)
    text = capture.get()
    assert "…" not in text
    for method in ("fp", "qat", "anchor"):
        assert f" {method} " in text
    header = next(line for line in text.splitlines() if line.startswith(" method"))
    seeds = ["seeds"] if folder == "first-study" else []
    columns = [
        "method",
        "bits",
        *seeds,
        "ID",
        "OOD",
        "gap",
        "extra",
        "gap",
        "[95%]",
        "NLL",
        "ECE",
        "λmax",
        "sharp",
    ]
    for name in gone:
        columns.remove(name)
    assert header.split() == columns
