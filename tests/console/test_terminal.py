"""What is printed stays readable where it is wide."""

import re
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest
from rich.console import Console

from flatqat.bench.records.store import Store
from flatqat.bench.report.by_method import View
from flatqat.bench.report.render import frame, load, show
from flatqat.console.blocks import blocks, fitting, folded
from flatqat.console.progress import PlainProgress, progress_for
from flatqat.console.rounded import rounded
from flatqat.console.terminal import plain_table, terminal
from tests.helpers import RESULTS
from tests.helpers.slow import slow

TITLE = (  # goes on beyond the edge of a terminal, so that it can be copied whole
    "cifar10-c-live v2 · cifar:resnet20 · recipe smoke · flatness_images=64 · steps=100 · weights 02926273 · "
    "400 images a shift"
)


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


def report(folder: str | Path, view: View, width: int | None, capsys) -> str:
    """What a terminal of this width shows; None is a pipe."""
    store = Store(RESULTS / folder)
    console = terminal(width=width, force_terminal=True, no_color=True) if width else terminal()
    show(load(store, None), store, view, console)
    return re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)


def test_forced_colors_make_no_terminal_of_a_pipe(monkeypatch, capsys):
    """All columns stay, and progress draws over no lines."""
    for name in ("CI", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    plain = report("first-study", "method", None, capsys)
    monkeypatch.setenv("FORCE_COLOR", "1")
    console, store = terminal(), Store(RESULTS / "first-study")
    show(load(store, None), store, "method", console)
    text = capsys.readouterr().out
    assert "\x1b[" in text
    assert re.sub(r"\x1b\[[0-9;]*m", "", text) == plain
    assert type(progress_for(terminal(stderr=True))) is PlainProgress


def headers(text: str, label: str) -> list[list[str]]:
    """The words in the last line of every block's header, which stands above its rule."""
    lines = text.splitlines()
    return [lines[at - 1].split() for at, line in enumerate(lines) if line.startswith(" ──")]


ALL = [
    "method",
    "bits",
    "seeds",
    "val",
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


@pytest.mark.parametrize(
    ("width", "gone"),
    [
        (None, ""),
        (200, ""),
        (120, ""),
        (80, "gap, NLL, ECE, λmax, sharp"),
        (60, "seeds, val, gap, NLL, ECE, λmax, sharp"),
    ],
)
def test_narrow_terminals_go_without_columns_and_name_them(width, gone, capsys):
    """Names of methods and all numbers stay whole; long settings go over lines."""
    text = report("first-study", "method", width, capsys)
    assert "…" not in text
    for method in ("fp", "qat", "anchor"):
        assert f" {method} " in text
    left = [word for word in ALL if word not in gone.split(", ")]
    if "gap" in gone:
        left.insert(left.index("extra") + 1, "gap")
    assert headers(text, "method") == [left]
    assert ("left out:" in text) == bool(gone)
    sentences = " ".join(text.split())
    assert f"left out: {gone}; to see them: flatqat bench report " in sentences or not gone
    assert (" --columns OOD," in sentences) == bool(gone)
    assert ("NLL, ECE: means" in sentences) == ("NLL" not in gone)
    assert text.count("[-1.9, +2.2]") == 1
    assert width is None or max(map(len, text.splitlines())) <= max(width, len(TITLE))


def test_a_table_of_one_seed_says_so_in_eighty_columns(tmp_path, capsys):
    others = ignore_patterns("*-s[1-9]-*")
    text = report(copytree(RESULTS / "first-look", tmp_path / "r", ignore=others), "method", 80, capsys)
    assert headers(text, "method") == [
        ["method", "bits", "ID", "OOD", "gap", "[95%,", "these", "runs]", "λmax", "sharp"]
    ]
    said = " ".join(text.split())
    assert "left out: NLL, ECE, GBOPs, size MB, acts MB; to see them: flatqat bench report --results" in said
    assert " --columns OOD,size,acts, or --format csv" in said


def test_a_label_of_a_method_never_breaks_within_a_setting(capsys):
    text = report("first-study", "method", 80, capsys)
    labels = [line.split("  ")[0].strip() for line in text.splitlines()]
    assert "coupling=elastic)" in labels
    assert {label for label in labels if "strength" in label} == {"strength=0.001)"}


@pytest.mark.parametrize("view", ["shift", "family", "severity"])
@pytest.mark.parametrize("width", [None, 80, *slow(60, 120, 200)])
def test_many_columns_are_split_with_their_rows_and_the_reference(view, width, capsys):
    """Every number of all 21 methods is there, in blocks that each name their rows."""
    store = Store(RESULTS / "first-study")
    text = report("first-study", view, width, capsys)
    (section,) = load(store, None)
    table = frame(section, store, view)
    found = headers(text, view)
    assert all(header[:2] == [view, "fp"] for header in found)
    assert len(found) == 1 if width is None else len(found) > 1
    lines = text.splitlines()
    assert width is None or max(map(len, lines)) <= max(width, len(TITLE))
    for row in table.to_dict("records"):
        label, *numbers = row.values()
        shown = [re.sub(r" ±\S+", "", line).split() for line in lines if line.startswith(f" {label} ")]
        assert len(shown) == len(found)
        assert {line[1] for line in shown} == {rounded(row["fp"])}
        assert [number for line in shown for number in line[2:]] == [rounded(n) for n in numbers[1:]]
    assert "…" not in text
    assert "left out" not in text


def test_columns_are_left_out_in_their_order_until_the_others_fit():
    header, dispensable = ["a", "b", "c", "d"], [("d",), ("b", "c")]
    for width, kept in ((4, [0, 1, 2, 3]), (3, [0, 1, 2]), (2, [0]), (0, [0])):
        assert fitting(header, dispensable, len, width) == kept


def test_blocks_hold_what_has_room_and_repeat_the_first_columns():
    widths, groups = [4, 3, 3, 3, 3, 9, 3], ["", "a", "a", "b", "b", "c", "d"]
    assert blocks(widths, groups, 1, 99) == [[0, 1, 2, 3, 4, 5, 6]]
    assert blocks(widths, groups, 1, 10) == [[0, 1, 2], [0, 3, 4], [0, 5], [0, 6]]
    assert blocks(widths, groups, 1, 13) == [[0, 1, 2], [0, 3, 4], [0, 5], [0, 6]]
    assert blocks(widths, groups, 1, 16) == [[0, 1, 2, 3, 4], [0, 5, 6]]
    assert blocks(widths, groups, 1, 7) == [[0, 1], [0, 2], [0, 3], [0, 4], [0, 5], [0, 6]]
    assert blocks(widths, groups, 2, 10) == [[0, 1, 2], [0, 1, 3], [0, 1, 4], [0, 1, 5], [0, 1, 6]]


def test_names_are_folded_where_they_can_be():
    name = "anchor(coupling=dampen, strength=0.001) 3"
    assert folded(name, 99) == name
    assert folded(name, 17).split("\n") == ["anchor(", "coupling=dampen,", "strength=0.001) 3"]
    assert folded("unbroken" * 9, 17) == "unbroken" * 9
    assert folded("two\nlines of text", 4) == "two\nlines of text"
