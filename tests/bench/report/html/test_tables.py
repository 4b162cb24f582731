"""The heat map of taxes: its numbers, its colors and what is in bold, beside the estimates themselves."""

from dataclasses import replace

import pytest

from flatqat.bench.records.store import Store
from flatqat.bench.report.html.tables import LEVELS, Table, heat_map
from flatqat.bench.report.render import load
from flatqat.bench.report.tax import ID, OOD, Taxes, taxes
from flatqat.console.rounded import interval, rounded
from tests.helpers.study_records import CELL, put, right_of

GAIN = {"weather": 0.05, "blur": -0.1}


@pytest.fixture(scope="module")
def painted(tmp_path_factory) -> tuple[Table, Taxes]:
    """`qat 4` gains on weather and loses on blur."""
    store = Store(tmp_path_factory.mktemp("r"))
    for seed in range(2):
        put(store, replace(CELL, method="fp", quant="fp", seed=seed), right_of(seed, 0.02, {}, [0]))
        put(store, replace(CELL, seed=seed), right_of(seed, 0.02, GAIN, [1]))
    (section,) = load(store, None)
    found = taxes(section, store)
    return heat_map(section, found, "top-1"), found


def test_every_cell_is_its_estimate(painted):
    table, found = painted
    names = [ID, OOD, "OOD 95%", "fog", "snow", "blur", "spatter"]
    assert sorted(table.header[2:]) == sorted(names)
    (row,) = table.rows
    assert [cell.text for cell in row[:2]] == ["qat", "4"]
    estimates = {name: of[("qat", "4")] for name, of in found.items() if name in names}
    largest = max(abs(one.value) for one in estimates.values())
    for name, cell in zip(table.header[2:], row[2:], strict=True):
        if name == "OOD 95%":
            assert cell.text == interval(estimates[OOD].low, estimates[OOD].high)
            continue
        one = estimates[name]
        level = round(LEVELS * abs(one.value) / largest)
        styles = [f"{'n' if one.value < 0 else 'p'}{level}"] if level else []
        styles += ["sure"] if one.low > 0 or one.high < 0 else []
        assert cell.style.split() == styles, name
        assert (cell.text, cell.tip) == (rounded(one.value, "+.1f"), interval(one.low, one.high))


def test_a_loss_a_gain_and_what_is_undecided_look_different(painted):
    table, _ = painted
    styles = dict(zip(table.header, (cell.style for cell in table.rows[0]), strict=True))
    assert styles["blur"] == "n5 sure"
    assert styles["fog"].startswith("p")
    assert styles["fog"].endswith("sure")
    assert "sure" not in styles[ID]
    assert table.notes[0].endswith("OOD leaves out spatter.")
