"""Texts of a stranger's records reach no terminal, spreadsheet, browser or LaTeX as code."""

from dataclasses import replace
from io import StringIO

import pandas as pd
import pytest
from rich.console import Console

from flatqat.bench.records.sections import sections
from flatqat.bench.records.store import Store
from flatqat.bench.report.render import render, show
from flatqat.spec import Record
from tests.helpers.study_records import CELL, put, right_of

EVIL = "=cmd|' /C calc'!A0 \x1b[31m<script>alert(1)</script> \\input{x} 100% #1 a_b"


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(tmp_path)
    cell = replace(CELL, model=EVIL, method=EVIL, recipe=EVIL, method_args=(("x", EVIL),))
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
    console = Console(file=StringIO(), width=400, force_terminal=True, no_color=True, highlight=False)
    show(sections(store.records()), store, view, console)
    written = [render(store, None, form, view) for form in ("md", "latex", "csv")]
    assert not [text for text in (console.file.getvalue(), *written) if "\x1b[31m" in text]


def test_a_reason_stays_on_its_line(store):
    assert [line for line in render(store, None, "latex", "method").splitlines() if "input{y}" in line]
    for form in ("md", "latex"):
        (line,) = (line for line in render(store, None, form, "method").splitlines() if "failed: " in line)
        assert "{y}" in line


def test_nor_does_the_page_of_a_study(store):
    cell = store.records()[0].cell
    put(store, replace(cell, method="sam"), right_of(0, 0.1, {}, [2]))
    page = render(store, None, "study", "method", f"{EVIL}(x={EVIL})")
    assert "<script" not in page
    assert "\x1b[31m" not in page
