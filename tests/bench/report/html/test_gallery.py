"""The gallery of the page: stored pictures, each with its name, and what is left out is said."""

import base64
import io
import json
import re
from dataclasses import replace
from html import unescape

import numpy as np
import pytest
from PIL import Image

from flatqat.bench.records.store import Store
from flatqat.bench.report.html import gallery
from flatqat.bench.report.render import render
from flatqat.data.images.palette import painted, palette
from tests.bench.report.html.test_page import Elements
from tests.helpers import RESULTS, street_records
from tests.helpers.browser import told
from tests.helpers.street_pictures import (
    FP,
    PLACES,
    QAT,
    SHIFTS,
    labels,
    put_with_pictures,
    store_with_pictures,
)

EVIL = "</script><img src=x onerror=alert(1)>\"'><b>{{ 7*7 }}\x1b[31m"


@pytest.fixture
def store(tmp_path) -> Store:
    return store_with_pictures(tmp_path / "r")


def page_of(store: Store) -> str:
    return render(store, None, "html", "method", "qat")


def pictures(page: str) -> dict[str, Image.Image]:
    """All pictures of a page by their alternative texts, up to the first comma but one."""
    found = {}
    for name, of in Elements(page).found:
        if name == "img":
            kind, data = re.fullmatch(r"data:image/(png|jpeg);base64,(.*)", of["src"]).groups()
            image = Image.open(io.BytesIO(base64.b64decode(data)))
            assert image.format.lower() == kind
            assert (of["width"], of["height"]) == tuple(map(str, image.size))
            found[of["alt"]] = image
    return found


def note_of(page: str) -> str:
    (block,) = re.findall(r'-gallery">Gallery</h\d>(.*?)<h\d', page, re.DOTALL)
    return unescape(re.sub("<[^>]+>", "", re.findall(r'<p class="note">(.*?)</p>', block)[-1]))


def test_every_stored_picture_is_there_with_its_name(store):
    found = pictures(page_of(store))
    colors = palette(street_records.NAMES)
    expected = {}
    for shift in SHIFTS:
        for number, at in enumerate(PLACES, start=1):
            truth = labels(99, shift, at)
            expected[f"truth: {shift}, image {number}"] = truth
            for seed, row in enumerate(("fp", "qat 4")):
                shown = labels(seed, shift, at)
                right = 100 * np.mean(
                    [s == t for s, t in zip(shown.flat, truth.flat, strict=True) if t != 255]
                )
                expected[f"{row}: {shift}, image {number}, {right:.1f}% right"] = shown
    images = [f"image: {shift}, image {number}" for shift in SHIFTS for number in (1, 2)]
    assert set(found) == {*expected, *images}
    for alt, shown in expected.items():
        assert np.array_equal(np.asarray(found[alt].convert("RGB")), painted(shown, colors))
    for shift in SHIFTS:
        seen = store.pictures.seen("streets", shift)
        kept = Image.open(io.BytesIO(seen[7].image))
        assert found[f"image: {shift}, image 2"].tobytes() == kept.tobytes()


def test_the_legend_has_every_class_and_what_is_not_labeled(store):
    (legend,) = re.findall(r'aria-label="Classes">(.*?)</ul>', page_of(store))
    shown = re.findall(r'background:#(\w{6})"></i>([^<]+)</li>', legend)
    hexes = ["".join(f"{part:02x}" for part in color) for color in palette(street_records.NAMES)]
    assert shown == [*zip(hexes, street_records.NAMES, strict=True), ("000000", "not labeled")]


def test_the_same_store_gives_the_same_bytes_and_nothing_is_requested(store):
    page = page_of(store)
    assert page == page_of(Store(store.root))
    sources = [of["src"] for _, of in Elements(page).found if "src" in of]
    assert len(sources) == 16
    assert all(source.startswith("data:image/") for source in sources)
    assert "img-src data:" in page


def test_it_needs_no_weights_and_no_data(store):
    assert not (store.root / "weights").exists()
    assert "Predictions of seed 0." in note_of(page_of(store))


def test_records_without_pictures_are_told_so(store, tmp_path):
    old = Store(tmp_path / "old")
    street_records.put(old, FP, street_records.matrices())
    page = page_of(old)
    assert not pictures(page)
    assert note_of(page).startswith("No pictures are stored here: compact copies have none")
    street_records.put(store, replace(FP, method="sam", quant="4"), street_records.matrices(4))
    assert "No pictures are stored of sam 4. No pictures are stored of id, aside." in note_of(page_of(store))


def test_a_classification_suite_has_no_gallery():
    page = page_of(Store(RESULTS / "first-look"))
    assert "Gallery" not in page
    assert 'class="gallery"' not in page


def test_a_row_shows_its_first_seed_that_has_pictures(store):
    street_records.put(store, QAT, street_records.matrices(1))  # without pictures
    put_with_pictures(store, replace(QAT, seed=3), 5)
    page = page_of(store)
    assert "Predictions of seed 0, 3." in note_of(page)
    (shown,) = (image for alt, image in pictures(page).items() if alt.startswith("qat 4: fog, image 1"))
    expected = painted(labels(5, "fog", 2), palette(street_records.NAMES))
    assert np.array_equal(np.asarray(shown.convert("RGB")), expected)


def test_what_has_no_room_is_left_out_and_said(store, monkeypatch):
    whole = page_of(store)
    size = sum(len(of["src"]) for name, of in Elements(whole).found if name == "img")
    monkeypatch.setattr(gallery, "MOST_BYTES", size - 1)
    monkeypatch.setattr("flatqat.bench.report.html.page.MOST_BYTES", size - 1)
    page = page_of(store)
    assert len(pictures(page)) == 12
    assert "night, image 2" not in page  # first ones first
    assert "Left out: 1 more stored image; a page has" in note_of(page)


def test_two_sections_share_the_room(store, monkeypatch):
    put_with_pictures(store, replace(FP, model="other"), 0)
    size = sum(len(of["src"]) for name, of in Elements(page_of(store)).found if name == "img")
    monkeypatch.setattr("flatqat.bench.report.html.page.MOST_BYTES", size)
    found = Elements(page_of(store)).found
    assert sum(len(of["src"]) for name, of in found if name == "img") <= size


def test_of_many_rows_the_first_have_pictures(store):
    for at in range(14):  # "m..." come before "qat"
        put_with_pictures(store, replace(QAT, method=f"m{at:02d}"), at)
    page = page_of(store)
    rows = {alt.partition(":")[0] for alt in pictures(page)} - {"image", "truth"}
    assert len(rows) == 12
    assert {"fp", "qat 4"} < rows
    assert "Of 16 rows 12 are shown," in note_of(page)


def test_names_are_text(store):
    cell = replace(QAT, method_args=(("x", EVIL),), quant="4")
    put_with_pictures(store, cell, 3)
    record = store.record(cell)
    for one in store.records():
        how = replace(one.protocol, class_names=(EVIL, "b", "c"))
        store.write_record(replace(one, protocol=how))
    page = page_of(store)
    elements = Elements(page)
    assert record.cell.label in page
    assert {of["src"][:11] for name, of in elements.found if name == "img"} == {"data:image/"}
    assert not [key for _, of in elements.found for key in of if key.startswith("on")]
    assert "\x1b" not in page
    assert any(EVIL[:20] in of["alt"] for name, of in elements.found if name == "img")


LOOK = """
const $ = (css) => [...document.querySelectorAll(css)];
const shown = () => $(".shot .name").filter((one) => one.offsetParent).map((one) => one.textContent);
const visible = () => $(".shot figure").filter((one) => one.offsetParent).length;
const change = (form, name, value) => {
  form.elements[name].value = value;
  form.elements[name].dispatchEvent(new Event("input", { bubbles: true }));
};
const form = document.querySelector(".gallery form");
const found = { first: shown(), figures: visible() };
change(form, "number", "2");
found.second = shown();
change(form, "shift", "1");
found.night = shown();
change(form, "number", "");
found.every = shown();
change(document.querySelector("form.filter"), "method", "qat");
found.filtered = visible();
found.loaded = $(".gallery img").every((one) => one.naturalWidth === 20);
return found;
"""


def test_a_reader_chooses_shift_and_image(store, tmp_path):
    found = json.loads(told(page_of(store), tmp_path, LOOK))
    assert found["said"] == []
    assert found["told"] == {
        "first": ["fog, image 1", "night, image 1"],
        "figures": 8,
        "second": ["fog, image 2", "night, image 2"],
        "night": ["night, image 2"],
        "every": ["night, image 1", "night, image 2"],
        "filtered": 6,
        "loaded": True,
    }
