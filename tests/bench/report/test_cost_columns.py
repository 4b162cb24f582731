"""Costs in tables: short for people, to the last digit for programs, and absent where no record has one."""

import json
from io import StringIO

import pandas as pd
import pytest

from flatqat.bench.records.sections import sections
from flatqat.bench.records.store import Store
from flatqat.bench.report.by_method import method_rows
from flatqat.bench.report.method_table import of_methods
from flatqat.bench.report.on_terminal import print_table
from flatqat.bench.report.render import render
from flatqat.bench.report.tidy import load_results
from flatqat.console.terminal import terminal
from tests.helpers.cost_records import cost, put

WHOLE = ("macs", "bops", "weight_bytes", "other_bytes", "activation_bytes")


@pytest.fixture
def store(tmp_path) -> Store:
    """Two seeds of a method, one whose record lacks its cost; and a method that has none."""
    put(tmp_path, "fp", "fp", 0.8, cost(10_000_001, 32))
    put(tmp_path, "qat", "4", 0.7, cost(10_000_001, 4))
    put(tmp_path, "qat", "4", 0.7, None, seed=1)
    put(tmp_path, "sam", "4", 0.7, None)
    return Store(tmp_path)


def test_csv_and_json_have_every_digit_also_beside_missing_ones(store):
    expected = {
        "fp": (1_234_567_891, 1_234_567_891 * 1024, 40_000_004, 1001, 4321),
        "qat": (1_234_567_891, 1_234_567_891 * 16, 5_000_000, 1001, 4321),
    }
    table = pd.read_csv(StringIO(render(store, None, "csv", "method")), dtype=str).set_index("method")
    (section,) = json.loads(render(store, None, "json", "method"))
    rows = {row["method"]: row for row in section["rows"]}
    for method, numbers in expected.items():
        assert tuple(table.loc[method, list(WHOLE)]) == tuple(map(str, numbers))
        assert tuple(rows[method][name] for name in WHOLE) == numbers
    assert table.loc["sam", list(WHOLE)].isna().all()
    assert {rows["sam"][name] for name in WHOLE} == {None}


def test_people_read_three_digits_and_what_they_count(store):
    (section,) = sections(store.records())
    shown = of_methods(section, method_rows(section, store))
    columns = dict(zip(shown.header, zip(*shown.rows, strict=True), strict=True))
    assert columns["GBOPs"] == ("1.26e+03", "19.8", "-")
    assert columns["size MB"] == ("40", "5", "-")
    assert columns["acts MB"] == ("0.00432", "0.00432", "-")
    assert list(shown.header)[-3:] == ["GBOPs", "size MB", "acts MB"]
    assert {"GBOPs", "size MB", "acts MB"} <= shown.definitions.keys()


def test_eighty_columns_do_without_them_first(store, capsys):
    (section,) = sections(store.records())
    shown = of_methods(section, method_rows(section, store))
    narrow = terminal(force_terminal=True, width=70)
    assert print_table(shown, narrow)[-3:] == ["GBOPs", "size MB", "acts MB"]
    assert "NLL" in capsys.readouterr().out
    assert print_table(shown, terminal(force_terminal=True, width=150)) == []


def test_tables_of_records_without_costs_have_no_such_columns(tmp_path):
    put(tmp_path, "fp", "fp", 0.8, None)
    store = Store(tmp_path)
    (section,) = sections(store.records())
    assert "GBOPs" not in of_methods(section, method_rows(section, store)).header
    assert "bops" in render(store, None, "csv", "method"), "programs find the same columns always"


def test_the_tidy_table_has_them_for_every_cell(store):
    table = load_results(store.root).drop_duplicates("cell").set_index(["method", "seed"])
    assert table.loc[("fp", 0), "bops"] == 1_234_567_891 * 1024
    assert table.loc[("qat", 1), list(WHOLE)].isna().all()
    assert {str(table[name].dtype) for name in WHOLE} == {"Int64"}


def test_a_family_has_the_cost_of_its_members(tmp_path):
    for target in ("art", "sketch"):
        put(tmp_path, "qat", "4", 0.7, cost(10_000_001, 4), suite=f"f@{target}")
    (section,) = json.loads(render(Store(tmp_path), None, "json", "method"))
    assert [row["weight_bytes"] for row in section["rows"]] == [5_000_000] * 3
