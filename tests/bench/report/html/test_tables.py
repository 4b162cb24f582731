"""The heat map of taxes: its numbers, its colors and what is in bold, beside the estimates themselves."""

from dataclasses import replace

import pytest

from flatqat.bench.records.store import Store
from flatqat.bench.report.by_shift import shift_columns
from flatqat.bench.report.html.tables import LEVELS, Table, heat_map, turned
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


@pytest.mark.parametrize(
    ("seeds", "sure", "said"),
    [
        (1, False, "these training runs alone: with one seed nothing is bold."),
        (2, True, "some do by chance. The depth"),
    ],
)
def test_nothing_of_one_seed_is_bold(tmp_path, seeds, sure, said):
    store = Store(tmp_path)
    for seed in range(seeds):
        put(store, replace(CELL, method="fp", quant="fp", seed=seed), right_of(seed, 0.02, {}, [0]))
        put(store, replace(CELL, seed=seed), right_of(seed, 0.02, GAIN, [1]))
    (section,) = load(store, None)
    found = taxes(section, store)
    assert not found["blur"]["qat", "4"].low <= 0 <= found["blur"]["qat", "4"].high
    table = heat_map(section, found, "top-1")
    assert any("sure" in cell.style for cell in table.rows[0]) is sure
    assert said in table.notes[0]
    families = turned("Families", section, shift_columns(section, "family", store), "Note.")
    assert any("for these training runs alone" in note for note in families.notes) is not sure


def test_a_method_of_one_seed_among_others_has_a_mark(tmp_path):
    store = Store(tmp_path)
    for seed in range(2):
        put(store, replace(CELL, method="fp", quant="fp", seed=seed), right_of(seed, 0.02, {}, [0]))
    put(store, CELL, right_of(0, 0.02, GAIN, [1]))
    (section,) = load(store, None)
    table = turned("Families", section, shift_columns(section, "family", store), "Note.")
    assert [row[0].text for row in table.rows] == ["fp", "qat †"]
    assert any(note.startswith("†: from one seed") for note in table.notes)
    assert heat_map(section, taxes(section, store), "top-1").notes[0].count("nothing is bold") == 1
