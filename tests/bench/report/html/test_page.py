"""The page in one file: its numbers are those of CSV, its bytes repeat, and it asks nobody for anything."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO

import pandas as pd
import pytest

from flatqat.bench.records.store import Store
from flatqat.bench.report.render import load, render
from flatqat.spec import Flatness, Record
from tests.helpers import RESULTS, street_records, study_records
from tests.helpers.records import space_flatness
from tests.helpers.study_records import CELL, put, right_of

EVIL = "</script><img src=x onerror=alert(1)>\"'><b>&amp;\x1b[31m`c`{{ 7*7 }} -->\u2028 url(//e.example)"


class Elements(HTMLParser):
    """All elements of a page by name, with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    handle_startendtag = handle_starttag

    def names(self) -> list[str]:
        return [name for name, _ in self.found]


def page_of(store: Store, against: str = "qat") -> str:
    return render(store, None, "html", "method", against)


def data_of(page: str) -> dict:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


@pytest.fixture(scope="module")
def look() -> str:
    return page_of(Store(RESULTS / "first-look"))


@pytest.fixture
def streets(tmp_path) -> Store:
    store = Store(tmp_path / "r")
    for seed in (0, 1):
        street_records.put(store, replace(street_records.FP, seed=seed), street_records.matrices(seed))
        qat = replace(street_records.FP, method="qat", quant="4", seed=seed)
        street_records.put(store, qat, street_records.matrices(seed + 7, 0.05))
    return store


def assert_numbers_are_those_of_csv(page: str, store: Store, views: tuple[str, ...]) -> None:
    """Every cell of CSV, with all its digits, is in the data, and nothing else."""
    (section,) = data_of(page)["sections"]
    for view in views:
        table = pd.read_csv(StringIO(render(store, None, "csv", view)), dtype=str, keep_default_na=False)
        found = section["method"] if view == "method" else section["members"][0][view]
        assert ["section", *found["columns"]] == list(table.columns)
        assert len(found["rows"]) == len(table)
        for row, texts in zip(found["rows"], table.to_numpy()[:, 1:], strict=True):
            for value, text in zip(row, texts, strict=True):
                if isinstance(value, int | float) and not isinstance(value, bool):
                    assert value == float(text)
                else:
                    assert ("" if value is None else str(value)) == text


def test_the_numbers_are_those_of_csv(look, streets):
    store = Store(RESULTS / "first-look")
    assert_numbers_are_those_of_csv(look, store, ("method", "shift", "family", "severity"))
    assert_numbers_are_those_of_csv(page_of(streets), streets, ("method", "shift", "family", "class"))


def test_classes_that_are_never_right_are_named_below(streets, tmp_path):
    store = Store(tmp_path / "dead")
    for method in ("fp", "qat"):
        of = street_records.matrices()
        for each in of.values():
            each[:, 1, 0] += each[:, 1, 1]
            each[:, 1, 1] = 0
        street_records.put(store, replace(street_records.FP, method=method), of)
    page = page_of(store)
    assert "Left out, since no pixel of them is right anywhere: car." in page
    assert 'scope="row">road<' in page
    assert 'scope="row">car<' not in page
    assert "Left out" not in page_of(streets)


def test_the_tax_is_by_what_a_suite_has(look, streets):
    assert "Tax by corruption, minus fp" in look
    assert "each corruption over its severities" in look
    page = page_of(streets)
    assert "Tax by shift, minus fp" in page
    assert "each corruption over its severities" not in page


def test_notes_say_what_a_number_is_the_mean_over(look):
    """A column of the tables is a family or a severity, and a point of the small plots a single set."""
    over_shifts = "Shown: top-1 in percent, the mean over seeds and over the shifts of a column. ±:"
    assert look.count(over_shifts) == look.count("over the shifts of a") == 2
    assert look.count("Shown: top-1 in percent, the mean over seeds.</p>") == 1


def test_lines_against_severity_are_spoken_of_where_there_are_any(look, streets):
    page = page_of(streets)
    assert "A tick draws the row's lines against severity." in look
    assert "A tick shows the row in the plots by shift." in page
    for said in ("against severity", "Lines and points"):
        assert said in look
        assert said not in page


def test_so_are_those_of_left_out_domains(tmp_path):
    store = Store(tmp_path)
    for place, suite in enumerate(("f@a", "f@b")):
        for method, bits in (("fp", "fp"), ("qat", "4")):
            cell = replace(CELL, method=method, quant=bits, suite=suite)
            put(store, cell, right_of(0, 0.05, {}, [place]))
    page = page_of(store)
    assert_numbers_are_those_of_csv(page, store, ("method",))
    (section,) = data_of(page)["sections"]
    assert [member["title"] for member in section["members"]] == [
        f"{s} v1 · m · recipe b" for s in ("f@a", "f@b")
    ]


def test_tables_can_be_read_without_a_script(look):
    (body,) = re.findall(r'aria-label="Methods">.*?<tbody>(.*?)</tbody>', look, re.DOTALL)
    rows = [re.findall(r"<t[hd][^>]*>([^<]*)</t", row) for row in re.findall(r"<tr>(.*?)</tr>", body)]
    markdown = render(Store(RESULTS / "first-look"), None, "md", "method").splitlines()
    lines = [
        [text.strip() for text in line.strip("|").split("|")] for line in markdown if line.startswith("|")
    ]
    assert rows == lines[2:]


def test_the_same_store_gives_the_same_bytes(look):
    assert page_of(Store(RESULTS / "first-look")) == look


@pytest.mark.parametrize("which", ["look", "evil"])
def test_nothing_is_requested(request, look, tmp_path, which):
    page = look if which == "look" else page_of(evil(tmp_path))
    elements = Elements(page).found
    assert not {"link", "img", "iframe", "object", "embed", "base", "source"} & {
        name for name, of in elements if of.get("href") != "data:,"
    }
    links = {
        of[key] for _, of in elements for key in ("src", "href", "action", "poster", "data") if key in of
    }
    assert all(link == "data:," or link.startswith("#") for link in links)
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src 'none'" in page


def evil(folder) -> Store:
    """A done and a failed cell all of whose texts are an attack."""
    store = Store(folder / "<b>r")
    fields = {"model": EVIL, "recipe": EVIL, "method_args": (("x", EVIL),)}
    shifts = {EVIL if name == "fog/1" else name: info for name, info in study_records.SHIFTS.items()}
    for method in ("fp", "qat", "sam"):
        cell = replace(CELL, method=method, quant="fp" if method == "fp" else EVIL, **fields)
        right = right_of(0, 0.1, {}, [1])
        right[EVIL] = right.pop("fog/1")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(study_records, "SHIFTS", shifts)
            record = put(store, cell, right)
        how = replace(record.protocol, suite=EVIL, parent=EVIL)
        store.write_record(replace(record, protocol=how), None)
    store.write_record(Record(cell=replace(cell, seed=1), status="failed", reason=EVIL))
    return store


def test_no_text_of_a_record_is_code(tmp_path):
    page = page_of(evil(tmp_path))
    elements = Elements(page)
    assert elements.names().count("script") == 2
    assert not {"img", "iframe"} & set(elements.names())
    assert not [key for _, of in elements.found for key in of if key.startswith("on")]
    assert "\x1b" not in page
    assert "7*7" in page
    (section,) = data_of(page)["sections"]
    assert "</script>" in section["title"]
    shown = {text for row in section["rows"] for text in row}
    assert any("<img src=x onerror=alert(1)>" in text for text in shown)


def test_the_script_is_named_by_its_hash(look):
    (script,) = re.findall(r"<script>(.*?)</script>", look, re.DOTALL)
    (digest,) = re.findall(r"script-src 'sha256-([^']+)'", look)
    import base64
    import hashlib

    assert digest == base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def test_tables_and_pictures_say_what_they_are(look):
    elements = Elements(look).found
    assert {of.get("scope") for name, of in elements if name == "th"} == {"col", "row"}
    pictures = [of for name, of in elements if name == "svg" and of.get("aria-hidden") != "true"]
    assert pictures
    assert {of.get("role") for of in pictures} == {"img"}
    inside = re.findall(r'<svg role="img"[^>]*><title>([^<]+)</title><desc>([^<]+)</desc>', look)
    assert len(inside) == len(pictures)
    ids = [of["id"] for _, of in elements if "id" in of]
    assert len(ids) == len(set(ids))
    assert {of["href"][1:] for name, of in elements if name == "a"} <= set(ids)


def test_a_drawer_has_the_command_of_its_cell(look):
    for record in Store(RESULTS / "first-look").records():
        assert record.cell.label in look
    assert "flatqat bench run --method anchor --bits 4 --seeds 1 --suite digits-c" in look
    (section,) = data_of(look)["sections"]
    assert len(section["cells"]) == 9
    cell, pool = section["cells"][0], data_of(look)["pool"]
    names = [pool[place][0] for place in cell["lines"]]
    assert names == ["starts from", "recipe default", "environment"]
    record = next(row[0] for row in load(Store(RESULTS / "first-look"), None)[0].rows.values())
    scores = dict(zip([name for name, _ in pool[cell["sets"]]], cell["scores"]["top1"], strict=True))
    assert scores["fog/3"] == round(100 * record.scores["fog/3"]["top1"].value)
    assert pool[cell["parts"]["flatness"]]["quantized"]["images"] == 64


def test_a_failed_cell_is_named_with_its_reason(tmp_path):
    store = Store(tmp_path)
    store.write_record(Record(cell=CELL, status="failed", reason="out of <memory>"))
    page = page_of(store)
    assert "out of &lt;memory&gt;" in page
    assert "No cell is finished." in page


def size_of(folder, rows: int, seeds: int) -> int:
    """The bytes of a page of so many copies of real cells, each a method of its own, and full precision."""
    real, store = Store(RESULTS / "first-look"), Store(folder / f"{rows}-{seeds}")
    of_fp, of_qat = (next(r for r in real.records() if r.cell.method == name) for name in ("fp", "qat"))
    outcomes = real.outcomes(of_qat.cell)
    for row in range(rows):
        record = of_qat if row else of_fp
        for seed in range(seeds):
            cell = replace(record.cell, seed=seed, method=f"method-number-{row}" if row else "fp")
            store.write_record(replace(record, cell=cell), outcomes if row else real.outcomes(of_fp.cell))
    return len(page_of(store).encode())


def test_a_page_of_a_thousand_cells_would_stay_small(tmp_path):
    """What a row and what a seed add beyond the rows that have lines."""
    base, more_rows, more_seeds = size_of(tmp_path, 26, 1), size_of(tmp_path, 36, 1), size_of(tmp_path, 26, 2)
    of_row, of_seed = (more_rows - base) / 10, (more_seeds - base) / 26
    assert base + (334 - 26) * of_row + 666 * of_seed < 5e6


@pytest.mark.slow
def test_a_page_of_a_thousand_cells_stays_small(tmp_path):
    assert size_of(tmp_path, 334, 3) < 5e6


def test_tests_by_rank_are_named_where_there_are_any(look, streets):
    """The page of segmentation has pictures of flatness, and no study below them."""
    for rise, record in enumerate(streets.records()):
        flatness = Flatness(quantized=space_flatness(1.0 + rise))
        streets.write_record(replace(record, flatness=flatness))
    page = page_of(streets)
    assert "A picture alone decides nothing." in page
    assert "tests by rank" not in page
    assert "the answers below are tests by rank." in look
