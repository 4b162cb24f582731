"""What many records have in common is parsed once, and every text gives what JSON's parser makes of it."""

import json
from dataclasses import replace

import pytest

from flatqat.bench.records import alike, record_json
from flatqat.bench.records.alike import parsed, strict
from flatqat.bench.records.record_json import to_json
from flatqat.bench.records.store import Store
from flatqat.spec import Scores
from flatqat.spec.reading import to_plain
from tests.helpers import RESULTS, study_records


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch):
    monkeypatch.setattr(alike, "_forms", alike._Forms())
    alike._entry_alike.cache_clear()


def plain(data: object) -> object:
    return {n: to_plain(v) if isinstance(v, Scores) else v for n, v in data.items()}


def test_shifts_are_parsed_and_kept_once_and_scores_after_the_first_as_numbers_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(alike, "RARELY", 1)
    store, texts, objects = Store(tmp_path), [], []
    for seed in range(4):
        cell = replace(study_records.CELL, seed=seed)
        study_records.put(store, cell, study_records.right_of(seed, 0.1, {}, [1]))
    loads, unique = json.loads, alike._unique

    def seen(pairs: list) -> dict:
        objects.append(dict(pairs))
        return unique(pairs)

    with monkeypatch.context() as patch:
        patch.setattr(json, "loads", lambda text, **how: texts.append(text) or loads(text, **how))
        patch.setattr(alike, "_decoder", json.JSONDecoder(object_pairs_hook=seen))
        records = store.records()
    assert sum("image_set" in found for found in objects) == len(records[0].scores)
    assert sum(b'"top1"' in text for text in texts) == 1
    assert sum(text.startswith(b"[") for text in texts) == 3
    assert len({id(record.protocol.shifts) for record in records}) == 1
    assert records == [record_json.parse_record(record_json.read_json(p), p) for p in store.record_paths()]


@pytest.mark.parametrize("folder", ["first-look", "first-study"])
@pytest.mark.parametrize("rarely", [1, 50])
def test_committed_records_are_read_as_the_parser_reads_them(folder, rarely, monkeypatch):
    monkeypatch.setattr(alike, "RARELY", rarely)
    for path in Store(RESULTS / folder).record_paths():
        text = path.read_bytes()
        assert plain(parsed(text)) == json.loads(text)


SCORE = {"n": 3, "stderr": None, "value": 0.1}
SCORES = {"fog/1": {"nll": SCORE, "top1": {**SCORE, "stderr": 2.5e-7}}, "id": {"a.b": SCORE}}


@pytest.fixture
def form(monkeypatch):
    """Scores of one form were read."""
    monkeypatch.setattr(alike, "RARELY", 1)
    parsed(to_json({"scores": SCORES}))
    assert len(alike._forms._forms) == 1


@pytest.mark.parametrize(
    "number", [0, -0.0, 1, 50, -3, 100.0, 1e-5, 5e-324, 1.7e-300, 1e16, 2**62, 0.1 + 0.2, None]
)
def test_any_numbers_of_scores_are_those_of_the_parser(form, number):
    scores = {**SCORES, "id": {"a.b": {**SCORE, "value": number}}}
    text = to_json({"scores": scores, "status": "done"})
    data = parsed(text)
    assert data["status"] == "done"
    assert Scores.read(data["scores"]) == Scores.read(json.loads(text)["scores"])


def test_scores_of_another_form_are_parsed(form):
    for other in (
        {**SCORES, "id": {"aXb": SCORE}},
        {**SCORES, "id": {"a.b": {**SCORE, "n": 4}}},
        {"fog/1": SCORES["fog/1"]},
        {**SCORES, "more": {"a.b": SCORE}},
    ):
        assert plain(parsed(to_json({"scores": other}))) == {"scores": other}


@pytest.mark.parametrize("value", ["00.1", "0.1.2", "-", "", "1e", ".5", "1 2", "0.1,", "0.1]", "--1", "nul"])
def test_scores_with_damaged_numbers_are_errors(form, value):
    text = to_json({"scores": SCORES}).replace(b"0.1", value.encode(), 1)
    with pytest.raises(ValueError, match="E") as found:
        parsed(text)
    with pytest.raises(ValueError, match="E") as expected:
        json.loads(text)
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", "true", '"1"', "[]", str(2**64)])
def test_what_is_no_score_is_left_to_reading_scores(form, value):
    text = to_json({"scores": SCORES}).replace(b"0.1", value.encode(), 1)
    assert repr(parsed(text)) == repr(json.loads(text))


LINE = b'\n  "shifts": {"id": {"family": "id"}}'


@pytest.mark.parametrize(
    "text",
    [
        b'{\n "protocol": {%b\n }\n}' % LINE,
        b'{\n "protocol": {%b,\n  "suite": "s"\n },\n "status": "done"\n}\n' % LINE,
        b'{\n "other": {%b\n }\n}' % LINE,
        b'{\n "protocol": {\n "method": {%b\n }}\n}' % LINE,
        b'{\n "protocol": [1]\n, "x": {%b\n }\n}' % LINE,
        b'{\n "scores": {%b\n },\n "protocol": {%b\n }\n}' % (LINE, LINE),
        b'{\n "cell": {"a": 1,\n "b": 2}\n}',
        b'{\n "cell": {\n  "a": [1,\n  "b"], "c": {}\n }\n}',
        b'{\n "cell": {}\n}',
        '{\n "cell": {\n  "a": "é\\"\\n"\n }\n}'.encode(),
        b'{"protocol": {"shifts": {"id": 1}}}',
        b"{}",
        b"[]",
        b'"text"',
    ],
)
def test_whatever_the_layout_the_values_are_those_of_the_parser(text):
    for _ in range(2):
        assert parsed(text) == json.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        b"{%b" % LINE,
        b'{\n "protocol": {\n  "shifts": {"id": },\n }\n}',
        b'{\n "cell": {\n  "a": 1,\n }\n}',
        b'{\n "cell": {\n  "a": 1\n },\n}',
        b'{\n "cell": {\n  "a": 1\n }}\n}',
        b'{\n "cell": {\n  "a": 1\n }\n}\n}',
        b'{\n "cell": {\n  "a": "x\n"\n }\n}',
        b"",
    ],
)
def test_damaged_texts_are_errors_of_the_whole(text):
    with pytest.raises(ValueError, match=r"E|c") as found:
        parsed(text)
    with pytest.raises(ValueError, match=r"E|c") as expected:
        json.loads(text)
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize(
    "text",
    [
        b'{\n "status": 1,\n "status": 2\n}',
        b'{\n "env": {\n  "status": 1,\n  "status": 2\n }\n}',
        b'{\n "env": {\n  "a": 1\n },\n "env": {\n  "a": 1\n }\n}',
        b'{\n "status": {"status": 1, "status": 2}\n}',
        b'{\n "scores": {\n  "status": {},\n  "status": {}\n }\n}',
        b'{"status": 1, "status": 2}',
    ],
)
def test_two_equal_names_are_errors(text):
    with pytest.raises(ValueError, match=r"'(status|env)' twice in one object"):
        parsed(text)
    with pytest.raises(ValueError, match="twice in one object"):
        strict(text)
