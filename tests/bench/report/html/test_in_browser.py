"""The page in Chromium: its own policy lets its script run, columns sort, filters hide, drawers fill."""

import json
from dataclasses import replace

import pytest

from flatqat.bench.records.store import Store
from flatqat.bench.report.render import render
from tests.helpers import RESULTS, street_records
from tests.helpers.browser import dom, told

LOOK = """
const $ = (css) => [...document.querySelectorAll(css)];
const table = $("table.sortable")[0];
const column = (at) => [...table.tBodies[0].rows].map((row) => row.cells[at].textContent);
const shown = () => [...table.tBodies[0].rows].filter((row) => !row.hidden);
const visible = () => shown().map((row) => row.cells[0].textContent);
const found = {};
const ood = [...table.tHead.rows[0].cells].findIndex((th) => th.textContent === "OOD");
const th = table.tHead.rows[0].cells[ood];
found.first = column(ood);
th.querySelector("button").click();
found.down = [th.getAttribute("aria-sort"), column(ood)];
th.querySelector("button").click();
found.up = [th.getAttribute("aria-sort"), column(ood)];
const form = $("form.filter")[0], explorer = $(".explorer")[0];
found.every = explorer.querySelector("[role=status]").textContent;
const type = (field, text, of = form) => {
  of.elements[field].value = text;
  of.elements[field].dispatchEvent(new Event("input", { bubbles: true }));
};
type("method", "QA");
found.filtered = visible();
found.faint = new Set($("g[data-row].faint").map((mark) => mark.dataset.row)).size;
found.drawers = $(".cells details").filter((drawer) => !drawer.hidden).length;
const own = explorer.querySelector("form");
type("family", "noise", own);
type("severity", "5", own);
const texts = (row) => [...row.cells].map((cell) => cell.textContent);
found.names = explorer.querySelectorAll("tbody tr:first-child th, thead th.t").length;
found.explored = [...explorer.querySelectorAll("tbody tr")].map(texts);
type("method", "");
found.unfiltered = visible().length;
const tick = $(".legend input")[0];
tick.click();
found.hidden = $(`.panels g[data-row="${tick.dataset.row}"]`).every((mark) => mark.classList.contains("off"));
const drawer = $(".cells details")[0];
drawer.open = true;
await new Promise((done) => setTimeout(done, 50));
found.drawer = [...drawer.querySelectorAll("dt")].map((node) => node.textContent);
found.scores = drawer.querySelector("table").rows.length;
found.wide = document.documentElement.scrollWidth <= document.documentElement.clientWidth;
return found;
"""


@pytest.fixture
def streets(tmp_path) -> Store:
    store = Store(tmp_path / "r")
    street_records.put(store, street_records.FP, street_records.matrices())
    qat = replace(street_records.FP, method="qat", quant="4")
    street_records.put(store, qat, street_records.matrices(7, 0.05))
    return store


@pytest.fixture(scope="module")
def page() -> str:
    return render(Store(RESULTS / "first-look"), None, "html", "method", "qat")


@pytest.fixture(scope="module")
def found(page, tmp_path_factory):
    return json.loads(told(page, tmp_path_factory.mktemp("browser"), LOOK))


def test_the_console_is_silent(found):
    assert found["said"] == []


def test_the_page_runs_under_its_own_policy(page, tmp_path):
    assert '<html lang="en" class="js">' in dom(page, tmp_path)


def test_a_click_on_a_header_sorts(found):
    told = found["told"]
    levels = [float(text.split()[0]) for text in told["first"]]
    assert told["down"][0] == "descending"
    assert [float(text.split()[0]) for text in told["down"][1]] == sorted(levels, reverse=True)
    assert told["up"][0] == "ascending"
    assert [float(text.split()[0]) for text in told["up"][1]] == sorted(levels)
    assert levels not in (sorted(levels), sorted(levels, reverse=True))


def test_a_filter_hides_rows_points_and_cells(found):
    told = found["told"]
    assert told["filtered"] == ["qat"]
    assert (told["faint"], told["drawers"], told["unfiltered"]) == (2, 3, 3)


def test_the_table_of_shifts_is_filtered_too(found):
    assert found["told"]["every"] == "60 of 216 rows."  # 70 shifts, id and val, of three rows
    rows = found["told"]["explored"]
    names = {"gaussian_noise/5", "impulse_noise/5", "shot_noise/5"}
    assert {row[2] for row in rows} == names
    assert {(row[0], row[3], row[4]) for row in rows} == {("qat", "noise", "5")}
    assert all(" to " in row[6] and " to " in row[8] for row in rows)
    assert found["told"]["names"] == 4 + 4  # words, which stand at the left, below their heads


def test_a_tick_hides_lines_and_an_opened_drawer_is_filled(found):
    told = found["told"]
    assert told["hidden"]
    assert told["drawer"] == ["starts from", "recipe default", "environment"]
    assert told["scores"] == 73
    assert told["wide"]


def test_a_suite_without_severities_has_no_column_of_them(streets, tmp_path):
    script = """
    const table = document.querySelector(".explorer table"), heads = [...table.tHead.rows[0].cells];
    const texts = (of) => [...of].map((cell) => cell.textContent);
    const at = heads.findIndex((th) => th.textContent === "mIoU");
    heads[at].querySelector("button").click();
    const rows = [...table.tBodies[0].rows];
    const scores = rows.map((row) => Number(row.cells[at].textContent));
    return [texts(heads), texts(rows[0].cells).slice(0, 4), scores];
    """
    found = json.loads(told(render(streets, None, "html", "method", "qat"), tmp_path, script))
    heads, first, scores = found["told"]
    assert heads == ["method", "bits", "shift", "family", "mIoU", "95%", "tax", "95%"]
    assert first == ["fp", "fp", "val", "val"]
    assert scores == sorted(scores, reverse=True)
    assert found["said"] == []


def test_classes_are_filtered_by_name(streets, tmp_path):
    script = """
    const form = document.querySelector("form.filter");
    form.elements.class.value = "CAR";
    form.elements.class.dispatchEvent(new Event("input", { bubbles: true }));
    const rows = [...document.querySelectorAll(".classes tbody tr")].filter((row) => !row.hidden);
    return rows.map((row) => row.cells[2].textContent);
    """
    found = json.loads(told(render(streets, None, "html", "method", "qat"), tmp_path, script))
    assert found == {"told": ["car", "car"], "said": []}
