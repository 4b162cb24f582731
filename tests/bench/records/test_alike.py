"""Shifts that many records have are parsed once, and every text gives what the parser of JSON makes of it."""

import json
from dataclasses import replace

import pytest

from flatqat.bench.records import alike, record_json
from flatqat.bench.records.alike import parsed
from flatqat.bench.records.store import Store
from tests.helpers import RESULTS, study_records


@pytest.fixture(autouse=True)
def _nothing_known():
    alike._known.clear()


def test_the_shifts_of_a_suite_are_parsed_and_kept_once(tmp_path, monkeypatch):
    store = Store(tmp_path)
    for seed in range(4):
        cell = replace(study_records.CELL, seed=seed)
        study_records.put(store, cell, study_records.right_of(seed, 0.1, {}, [1]))
    texts = []
    parse = record_json.parse_json
    monkeypatch.setattr(
        record_json, "parse_json", lambda text, path, *fix: texts.append(text) or parse(text, path, *fix)
    )
    records = store.records()
    assert sum(b'"image_set"' in text for text in texts) == 1
    assert len({id(record.protocol.shifts) for record in records}) == 1
    plain = [record_json.parse_record(record_json.read_json(p), p) for p in store.record_paths()]
    assert records == plain


@pytest.mark.parametrize("folder", ["first-look", "first-study"])
def test_committed_records_are_read_as_the_parser_reads_them(folder):
    for path in Store(RESULTS / folder).record_paths():
        text = path.read_bytes()
        assert parsed(text, json.loads) == json.loads(text)
    assert len(alike._known) == 1


LINE = b'\n  "shifts": {"id": {"family": "id"}}'


@pytest.mark.parametrize(
    "text",
    [
        b'{\n "protocol": {%b\n }\n}' % LINE,
        b'{\n "protocol": {%b,\n  "suite": "s"\n }\n}' % LINE,
        b'{\n "other": {%b\n }\n}' % LINE,
        b'{\n "protocol": {\n "method": {%b\n }}\n}' % LINE,
        b'{\n "protocol": {\n  "shifts": {"a": 1},%b\n }\n}' % LINE,
        b'{\n "protocol": [1]\n, "x": {%b\n }\n}' % LINE,
        b'{\n "scores": {%b\n },\n "protocol": {%b\n }\n}' % (LINE, LINE),
        b'{"protocol": {"shifts": {"id": 1}}}',
        b"{}",
    ],
)
def test_whatever_the_layout_the_values_are_those_of_the_parser(text):
    for _ in range(2):
        assert parsed(text, json.loads) == json.loads(text)


@pytest.mark.parametrize("text", [b"{%b" % LINE, b'{\n "protocol": {\n  "shifts": {"id": },\n }\n}', b""])
def test_damaged_texts_are_errors(text):
    with pytest.raises(ValueError, match="E"):
        parsed(text, json.loads)
