"""Texts of a stranger's records reach no terminal, spreadsheet, browser or LaTeX as code."""

from dataclasses import replace
from io import StringIO

import pandas as pd
import pytest

from flatqat.bench.records.escape import csv, markdown_line
from flatqat.bench.records.sections import sections
from flatqat.bench.records.store import Store
from flatqat.bench.report.render import render, show
from flatqat.bench.study.page import write_study
from flatqat.console.terminal import terminal
from flatqat.spec import Record
from tests.helpers.study_records import CELL, put, right_of

EVIL = (
    "=cmd|' /C calc'!A0 \x1b[31m<script>alert(1)</script> \\input{x} 100% #1 a_b $\\frac{$ [bold]b[/] [/x] "
    ":smile: ![p](http://e.example/p.png) [l](javascript:x) ::error file=x::boo ##[error]boo"
)
METHOD = "=m"
COMMANDS = ("::error file", "##[error]")


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(tmp_path)
    cell = replace(CELL, model=EVIL, method=METHOD, recipe=EVIL, method_args=(("x", EVIL),))
    record = put(store, cell, right_of(0, 0.1, {}, [1]))
    store.write_record(replace(record, protocol=replace(record.protocol, suite=EVIL)))
    store.write_record(Record(cell=replace(cell, seed=1), status="failed", reason=f"{EVIL}\n\\input{{y}}"))
    return store


@pytest.mark.parametrize("view", ["method", "shift", "family", "severity"])
def test_no_format_lets_code_through(store, view):
    assert "<script" not in render(store, None, "md", view)
    latex = render(store, None, "latex", view).replace(r"\textbackslash input", "").splitlines()
    assert not [line for line in latex if r"\input" in line and not line.startswith("% ")]
    table = pd.read_csv(StringIO(render(store, None, "csv", view)))
    texts = [*table.columns, *table.select_dtypes(exclude="number").to_numpy().ravel()]
    assert not [text for text in texts if str(text).startswith(("=", "+", "-", "@"))]
    console = terminal(file=StringIO(), width=400, force_terminal=True, no_color=True)
    show(sections(store.records()), store, view, console)
    written = [render(store, None, form, view) for form in ("md", "latex", "csv")]
    assert not [text for text in (console.file.getvalue(), *written) if "\x1b[31m" in text]
    for text in (console.file.getvalue(), *written):
        assert not [command for command in COMMANDS if command in text]
    assert not [target for target in ("](http", "](java") if target in written[0]]


def test_a_terminal_gets_texts_and_no_markup(store):
    console = terminal(file=StringIO(), width=2000)
    show(sections(store.records()), store, "method", console)
    console.print("\x1b]0;title\x07 [red]r[/] :smile:", "a\nb")
    text = console.file.getvalue()
    assert "[bold]b[/] [/x] :smile:" in text
    assert "\\x1b]0;title\\x07 [red]r[/] :smile: a\nb" in text
    assert "\x1b" not in text


def test_a_reason_stays_on_its_line(store):
    assert [line for line in render(store, None, "latex", "method").splitlines() if "input{y}" in line]
    for form in ("md", "latex"):
        (line,) = (line for line in render(store, None, form, "method").splitlines() if "failed: " in line)
        assert "{y}" in line


def test_nor_does_the_page_of_a_study(store):
    cell = store.records()[0].cell
    put(store, replace(cell, method="sam"), right_of(0, 0.1, {}, [2]))
    against = f"{METHOD}(x={EVIL})"
    page = render(store, None, "study", "method", against)
    assert "<script" not in page
    assert "\x1b[31m" not in page
    assert not [target for target in ("](http", "](java", *COMMANDS) if target in page]
    assert "](#how-it-was-made)" in page
    write_study(sections(store.records()), store, against, store.root / "page.md")
    assert (store.root / "page.md").read_text(encoding="utf-8").startswith("# Which methods win")


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", " =1", "\t=1", "\r=1", "＝1", "－1"])
def test_no_cell_of_a_spreadsheet_is_a_formula(text):
    assert csv(text).startswith("'")


def test_links_of_ones_own_stay():
    line = "[a](#here) [b](#there) ![c](p.svg)"
    assert markdown_line(line, ["#here", "p.svg"]) == r"[a](#here) [b]\(#there) ![c](p.svg)"
    assert markdown_line("[x]: http://e.example") == r"\[x]: http://e.example"
