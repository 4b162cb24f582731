"""A baseline cell by cell, against its JSON as a whole."""

import json
from dataclasses import replace

import pytest

from flatqat.bench.gate import baseline, lines
from flatqat.bench.gate.baseline import read_baseline, write_baseline
from flatqat.bench.gate.lines import lines_of
from flatqat.bench.records.record_json import to_json
from flatqat.errors import StoreError
from tests.helpers import RESULTS
from tests.helpers.gate_records import CELL, outcomes, store_with


@pytest.fixture
def path(tmp_path):
    """A baseline of three cells, one of which has `shifts` among its settings."""
    store = store_with(tmp_path / "r", outcomes())
    for seed, args in ((1, ()), (2, (("shifts", 1),))):
        store = store_with(tmp_path / "r", outcomes(), replace(CELL, seed=seed, method_args=args))
    write_baseline(store, tmp_path / "b.json")
    return tmp_path / "b.json"


def test_the_file_is_canonical_json(path):
    data = json.loads(path.read_bytes())
    assert len(data["cells"]) == 3
    assert path.read_bytes() == to_json(data)


def test_equal_shifts_are_written_once(tmp_path, monkeypatch):
    plain, to_plain = [], lines.to_plain
    store = store_with(tmp_path / "r", outcomes())
    for seed in range(1, 4):
        store = store_with(tmp_path / "r", outcomes(), replace(CELL, seed=seed))
    monkeypatch.setattr(lines, "to_plain", lambda value: plain.append(value) or to_plain(value))
    assert write_baseline(store, tmp_path / "b.json")[0] == 4
    assert len(plain) == 1


def test_it_is_read_line_by_line_as_the_parser_reads_it(path, monkeypatch):
    texts, strict = [], lines.strict
    lines._shifts.cache_clear()
    monkeypatch.setattr(lines, "strict", lambda text: texts.append(text) or strict(text))
    monkeypatch.setattr(baseline, "parse_json", None)
    by_line = read_baseline(path)
    assert len(texts) == 4
    assert sum(b"image_set" in text for text in texts) == 1
    monkeypatch.undo()
    path.write_text(json.dumps(json.loads(path.read_bytes())))
    whole = read_baseline(path)
    assert whole.keys() == by_line.keys()
    for cell_id, cell in whole.items():
        other = by_line[cell_id]
        assert cell.packed == other.packed
        assert cell.values.sizes == other.values.sizes
        assert all((cell.values[shift] == other.values[shift]).all() for shift in cell.values)


def test_the_committed_baseline_has_a_cell_on_each_line():
    (path,) = RESULTS.glob("baselines/*.json")
    schema, cells = lines_of(path.read_bytes())
    assert {"schema": schema, "cells": dict(cells)} == json.loads(path.read_bytes())


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (b'"seed": 1', b'"seed": 1, "seed": 1', "twice in one object"),
        (b'"seed": 1', b'"seed": }', "expected JSON"),
        (b'"seed": 1', b'"seed": "x"', r"cells\.[0-9a-f]{12}\.cell\.seed: expected a whole number"),
        (b'"env": {', b'"nested": 1, "env": {', r"nested: expected true or false"),
        (b'"in_mean": true', b'"in_mean": 1', r"shifts\.blur/1\.in_mean: expected true or false"),
        (b'"in_mean": true', b'"in_mean": ', "expected JSON"),
        (b'"in_mean": true', b'"in_mean": true, "in_mean": true', "twice in one object"),
        (b'"shifts": {"', b'"shifts": "x", "shifts": {"', "twice in one object"),
        (b'"schema": 3', b'"schema": 9', "schema: expected 3 or older, got 9"),
        (b'"schema": 3', b'"schema": 0', "schema: expected a whole number"),
        (b'\n },\n "schema": 3\n}', b'\n }},\n "schema": 3\n}', "expected JSON"),
    ],
)
def test_damaged_files_are_refused(path, old, new, error):
    text = path.read_bytes()
    assert old in text
    path.write_bytes(text.replace(old, new, 1))
    with pytest.raises(StoreError, match=error):
        read_baseline(path)


def test_two_cells_of_one_id_are_refused(path):
    of_file = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*of_file[:3], *of_file[2:]]))
    with pytest.raises(StoreError, match="twice in one object"):
        read_baseline(path)


@pytest.mark.parametrize("weights", ["", ', "weights": "0"', ', "weights": {"a": {"b": {}}}'])
@pytest.mark.parametrize("shifts", ['{"id": {"a": {}}}', '{"id": {}}', "{}", '"x"', "[]", '{"id": [{}]}'])
@pytest.mark.parametrize(
    "where", ['"shifts": %s', '"cell": {"shifts": %s}', '"a": "\\"shifts\\": {", "shifts": %s']
)
def test_whatever_the_layout_the_values_are_those_of_the_parser(weights, shifts, where):
    text = '{"0": {%s%s}}' % (where % shifts, weights)  # noqa: UP031
    for each in (text, text.replace("{", "[{", 2).replace("[{", "{", 1).removesuffix("}") + "]}"):
        assert lines._parsed(each.encode()) == json.loads(each)
