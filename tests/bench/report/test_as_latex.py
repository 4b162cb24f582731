"""Tables as LaTeX: every brace is closed, every row is whole, and no text of a record is a command."""

import re
from dataclasses import replace

import pytest

from flatqat.bench.records.escape import latex
from flatqat.bench.records.store import Store
from flatqat.bench.report.as_latex import as_latex
from flatqat.bench.report.render import render
from flatqat.bench.report.shown import Shown
from tests.helpers import RESULTS
from tests.helpers.street_records import FP, matrices, put

COMMANDS = {
    *("begin", "end", "centering", "caption", "label", "toprule", "midrule", "bottomrule", "smallskip"),
    *(
        "linewidth",
        "footnotesize",
        "pm",
        "textbf",
        "boldmath",
        "lambda",
        "max",
        "dag",
        "ddag",
        "S",
        "textperiodcentered",
        "textless",
    ),
    *("textgreater", "textbar", "textbackslash", "textasciicircum", "textasciitilde", *"\\%_#&${}"),
}


def parsed(text: str) -> tuple[str, list[list[str]]]:
    """The columns' letters and the cells of each row, header first; AssertionError on what LaTeX refuses."""
    lines = [line for line in text.splitlines() if not line.startswith("%")]
    body = "\n".join(lines)
    assert set(re.findall(r"\\([A-Za-z]+|.)", body)) <= COMMANDS
    bare = re.sub(r"\\(?:[A-Za-z]+|.)", "", body)
    assert not re.findall(r"[%#^~_]", bare.replace("$_{}$", ""))
    assert bare.count("$") % 2 == 0
    depth = 0
    for brace in re.findall(r"[{}]", bare):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0
    opened: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", body):
        if kind == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert not opened
    (columns,) = re.findall(r"\\begin\{tabular\}\{([lr]+)\}", body)
    rows = [line for line in lines if line.endswith(r" \\")]
    cells = [re.split(r"(?<!\\)&", row.removesuffix(r" \\")) for row in rows]
    assert {len(row) for row in cells} == {len(columns)}
    places = [lines.index(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")]
    assert places[1] == places[0] + 2
    assert places[2] == places[1] + len(rows)
    return columns, [[cell.strip() for cell in row] for row in cells]


def test_a_table_has_rules_a_label_and_notes_below():
    text = render(Store(RESULTS / "first-look"), None, "latex", "method")
    columns, (header, *rows) = parsed(text)
    assert columns == "ll" + "r" * (len(header) - 2)
    assert header[:4] == ["method", "bits", "seeds", "ID"]
    assert r"$\lambda_{\max}$" in header
    assert [row[0] for row in rows] == ["fp", "qat", "anchor"]
    assert re.fullmatch(r"9\d\.\d \$\\pm\$\d\.\d", rows[0][3])
    assert r"\label{tab:digits-c-v3-tiny-recipe-default}" in text
    below = text.partition(r"\end{tabular}")[2]
    assert "300 test images" in below
    assert "over seeds and images together" in below
    assert r"\usepackage{booktabs}" in text.splitlines()[0]


@pytest.mark.parametrize("view", ["method", "shift", "class"])
def test_every_view_is_whole(tmp_path, view):
    store = Store(tmp_path)
    evil = r"\input{x} 100% #1 a_b^c ~ $x$ & <b> | {"
    for cell in (FP, replace(FP, method="qat", quant="4", method_args=(("x", evil),))):
        put(store, cell, matrices())
    parsed(render(store, None, "latex", view))


def test_numbers_have_minus_signs_and_texts_keep_their_hyphens():
    shown = Shown(
        header=["method", "extra gap\n[95%]"],
        rows=[["re-train --fast", "-1.5 [-2.0, +3.0]"], ["fp", "-"]],
        labels=1,
        repeated=1,
        groups=["", ""],
    )
    _, (header, *rows) = parsed(as_latex("a", [], "p", shown))
    assert header == ["method", r"extra gap [95\%]"]
    assert rows == [["re-train -{}-fast", "$-$1.5 [$-$2.0, +3.0]"], ["fp", "--"]]


def test_signs_are_bold_with_their_numbers():
    shown = Shown(
        header=["method", "ID", "OOD"],
        rows=[["qat", "80.0 ±1.2", "7"]],
        labels=1,
        repeated=1,
        groups=["", "", ""],
        strong={(0, 1), (0, 2)},
    )
    _, (_, row) = parsed(as_latex("a", [], "p", shown))
    assert row == ["qat", r"\textbf{\boldmath 80.0 $\pm$1.2}", r"\textbf{7}"]


@pytest.mark.parametrize("count", [8, 9])
def test_a_wide_table_says_how_to_choose_columns(count):
    header = [f"c{place}" for place in range(count)]
    shown = Shown(header=header, rows=[header], labels=1, repeated=1, groups=header)
    said = "% 9 columns: choose with --columns" in as_latex("a", [], "p", shown).splitlines()
    assert said == (count == 9)


def test_hyphens_make_no_dash():
    assert latex("a-b --c ---d") == "a-b -{}-c -{}-{}-d"
    assert latex("<|>") == r"\textless{}\textbar{}\textgreater{}"
