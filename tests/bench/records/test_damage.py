"""Damaged records and baselines are errors that name the file and the field, never anything else."""

import copy
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flatqat.bench.gate.baseline import read_baseline, write_baseline
from flatqat.bench.records.record_json import parse_record, read_record, record_to_dict
from flatqat.bench.records.store import Store
from flatqat.bench.report.render import render
from flatqat.bench.report.tidy import load_results
from flatqat.errors import StoreError
from flatqat.spec import Flatness, Record
from tests.helpers import RESULTS
from tests.helpers.records import space_flatness
from tests.helpers.street_records import FP, matrices, put

COMMITTED = sorted(RESULTS.glob("*/records/*/*.json"))
FEW = ("val", "id", "fog/3")
DELETED, ABSENT = object(), object()
REPLACEMENTS = (DELETED, None, "x", [], {}, True, -1)
VIEWS = ("method", "shift", "severity", "family")

REQUIRED = {
    *("cell", "status", "reason", "scores", "flatness", "train", "protocol", "env", "schema"),
    *("value", "n", "stderr", "in_mean", "headline", "pool", "image_set", "severity", "suite", "data"),
    *("reference", "recipe", "budget", "lr", "steps", "quant", "weight_bits", "shifts", "seconds", "loss"),
}


@pytest.fixture(scope="module")
def streets(tmp_path_factory) -> Store:
    store = Store(tmp_path_factory.mktemp("streets"))
    put(store, FP, matrices())
    return store


@pytest.fixture(params=[pytest.param("schema 1", marks=pytest.mark.slow), "schema 2", "segmentation"])
def stored(request, streets) -> tuple[Path, dict[str, Any]]:
    """The file of a record, and its JSON with a few shifts, since all are alike."""
    if request.param == "segmentation":
        path = streets.record_path(FP)
        return path, json.loads(path.read_text())
    path = next(path for path in COMMITTED if "anchor-3" in path.name)
    data = json.loads(path.read_text())
    for shifts in (data["scores"], data["protocol"]["shifts"]):
        for name in set(shifts) - set(FEW):
            del shifts[name]
    return path, data if request.param == "schema 1" else record_to_dict(parse_record(dict(data), path))


def paths(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """Where every value is, in objects and lists."""
    for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*path, key)
        if isinstance(entry, dict | list):
            yield from paths(entry, (*path, key))


def damaged(data: dict, path: tuple, replacement: object) -> dict:
    new = copy.deepcopy(data)
    at = new
    for key in path[:-1]:
        at = at[key]
    if replacement is DELETED:
        del at[path[-1]]
    else:
        at[path[-1]] = replacement
    return new


def read_or_error(read, *args) -> tuple[Any, str]:
    try:
        return read(*args), ""
    except StoreError as error:
        return None, str(error)


def value_at(data: Any, path: tuple) -> object:
    for key in path:
        if not isinstance(data, dict | list) or (isinstance(data, dict) and key not in data):
            return ABSENT
        if isinstance(data, list) and key >= len(data):
            return ABSENT
        data = data[key]
    return data


def test_every_single_damage_is_refused_or_read_as_it_is(stored, tmp_path):
    path, data = stored
    original = record_to_dict(parse_record(copy.deepcopy(data), path))
    changed = {}
    for place in paths(data):
        for replacement in REPLACEMENTS:
            new = damaged(data, place, replacement)
            record, message = read_or_error(parse_record, copy.deepcopy(new), path)
            assert str(path) in message or record
            if record is None:
                continue
            again = record_to_dict(record)
            assert parse_record(copy.deepcopy(again), path) == record
            if data["schema"] == again["schema"] and isinstance(place[-1], str):
                expected = ABSENT if replacement is DELETED else replacement
                assert value_at(again, place) in (expected, ABSENT), (place, replacement)
            if again != original:
                changed[place, repr(replacement)] = record
    assert changed
    shown = [(view, form) for view in VIEWS for form in ("md", "csv", "json", "latex")]
    for number, record in enumerate(list(changed.values())[::3]):  # what is read, reports can show
        store = Store(tmp_path / str(number))
        store.write_record(record)
        view, form = shown[number % len(shown)]
        assert render(store, None, form, view)
        assert len(load_results(store.root)) > 0


def test_nothing_that_tables_need_may_be_absent(stored):
    path, data = stored
    for place in paths(data):
        if place[-1] in REQUIRED:
            with pytest.raises(StoreError, match=r"(expected|schema)"):
                parse_record(damaged(data, place, DELETED), path)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("protocol shifts fog/3 headline", "x",
         'protocol.shifts.fog/3.in_mean: expected true or false, got "x"'),
        ("scores fog/3 top1 stderr", "x", 'scores.fog/3.top1.stderr: expected a finite number, got "x"'),
        ("scores fog/3 top1 value", float("nan"),
         "scores.fog/3.top1.value: expected a finite number, got NaN"),
        ("scores id nll value", 10**400, "scores.id.nll.value: expected a finite number, got 1000"),
        ("scores id nll n", 10**400, "scores.id.nll.n: expected a whole number, got 1000"),
        ("scores id nll n", 4.5, "scores.id.nll.n: expected a whole number, got 4.5"),
        ("scores id nll n", True, "scores.id.nll.n: expected a whole number, got true"),
        ("protocol method strength", float("inf"), "protocol.method.strength: expected a finite number"),
        ("protocol budget lr", -1, "protocol.recipe: recipe.lr: expected at least 0, got -1"),
        ("protocol budget optimizer", "lion",
         'protocol.recipe.optimizer: expected one of sgd, adam, got "lion"'),
        ("protocol metric", "top5", "protocol.metric: expected one of miou, top1, got 'top5'"),
        ("protocol normalizer", "vgg", "protocol.normalizer: expected one of alexnet, got 'vgg'"),
        ("cell method_args", {"a": [1]},
         "cell.method_args.a: expected a text, a number, true, false or null, got [1]"),
        ("cell budget_args", {"a": {"b": 1}}, "cell.recipe_args.a: expected a text, a number, true, false"),
        ("train", None, "train: expected an object, got null"),
        ("more", 1, "more: expected no field of this name"),
        ("train more", 1, "train.more: expected no field of this name"),
        ("status", "finished", 'status: expected one of done, failed, skipped, got "finished"'),
        ("cell seed", 7, "cell: expected the cell that the file is named after, got cifar_resnet20"),
        ("cell seed", "0", 'cell.seed: expected a whole number, got "0"'),
        ("scores fog/9", {}, "scores: expected those of the protocol's shifts, id among them; see fog/9"),
        ("schema", "1", 'schema: expected a whole number from 1 to 2, got "1"'),
        ("schema", "9", 'schema: expected a whole number from 1 to 2, got "9"'),
        ("schema", True, "schema: expected a whole number from 1 to 2, got true"),
        ("schema", 0, "schema: expected a whole number from 1 to 2, got 0"),
        ("schema", DELETED, "schema: expected a whole number from 1 to 2, got none"),
        ("schema", 3, "schema: expected 2 or older, got 3; update flatqat"),
    ],
)  # fmt: skip
def test_errors_name_the_field(tmp_path, place, value, message):
    original = next(path for path in COMMITTED if "anchor-3" in path.name)
    path = tmp_path / original.parent.name / original.name
    path.parent.mkdir()
    path.write_text(json.dumps(damaged(json.loads(original.read_text()), tuple(place.split()), value)))
    with pytest.raises(StoreError) as error:
        read_record(path)
    assert str(error.value).startswith(f"{path}: {message}")
    assert str(error.value).endswith(("delete it and run the cell again", "update flatqat"))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\x00" * 100,
        b"[" * 100_000,
        b'{"schema": 2, "cell": ' + b'{"a": ' * 100_000,
        b'{"schema": ' + b"9" * 5000 + b"}",
        b'{"schema": 2, "schema": 1}',
        b'{"schema": 2, "cell": {"seed": 0, "seed": 1}}',
        b"\xff\xfe{\x00",
        "\ufeff{".encode(),
    ],
    ids=lambda text: repr(text[:24]),
)
@pytest.mark.parametrize("read", [read_record, read_baseline])
def test_hostile_json_is_refused(tmp_path, text, read):
    path = tmp_path / "x.json"
    path.write_bytes(text)
    with pytest.raises(StoreError, match=r"x\.json: expected JSON"):
        read(path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_record_that_an_editor_stored_otherwise_is_read(tmp_path, encoding):
    original = COMMITTED[0]
    path = tmp_path / original.parent.name / original.name
    path.parent.mkdir()
    path.write_text(original.read_text(), encoding=encoding)
    assert read_record(path) == read_record(original)


def test_every_damage_of_a_fingerprint_is_refused_or_harmless(tmp_path, streets):
    shutil.copytree(streets.root, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "data" / "streets.json"
    data = {"fingerprint": "d", "in_part": ["a", "b"]}
    path.parent.mkdir()
    for place in paths(data):
        for replacement in (*REPLACEMENTS, 10**400, float("nan"), 3):
            path.write_text(json.dumps(damaged(data, place, replacement)))
            records, message = read_or_error(Store(tmp_path).records)
            assert str(path) in message or records or replacement == "x"
    for text in ("", "[]", "null", '{"fingerprint": "d", "fingerprint": "e"}', "[" * 100_000):
        path.write_text(text)
        with pytest.raises(StoreError, match=r"streets\.json: expected .*restore the file"):
            Store(tmp_path).records()


def test_a_record_of_any_depth_is_refused(tmp_path):
    """Such as the parser may still read."""
    original = next(path for path in COMMITTED if "anchor-3" in path.name)
    path, deep = tmp_path / original.parent.name / original.name, "[" * 900 + "]" * 900
    path.parent.mkdir()
    data = json.loads(original.read_text())
    data["protocol"]["method"]["deep"] = "DEEP"
    path.write_text(json.dumps(data).replace('"DEEP"', deep))
    record, message = read_or_error(read_record, path)
    assert path.name in message or "deep" in record.protocol.method


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_committed_records_keep_their_ids(path):
    record = read_record(path)
    assert path.stem.endswith(record.cell.id)
    assert parse_record(record_to_dict(record), path) == record
    stored = json.loads(path.read_text())
    for space, measured in record.flatness.spaces.items():
        eigenvalue = stored["flatness"][space]["lambda_max"]
        assert measured.lambda_max.converged == eigenvalue.get("converged", eigenvalue["residual"] <= 1e-3)


@pytest.mark.parametrize("folder", ["first-look", "first-study"])
def test_committed_records_are_found_by_their_ids(folder):
    store = Store(RESULTS / folder)
    for path in store.record_paths()[:3]:
        assert store.record_path(store.find(path.stem.rpartition("-")[2]).cell) == path


def test_flatness_survives_the_round_trip_with_what_is_measured_on_request():
    extra = space_flatness(trace={"value": 1.0}, apgd={"filter": {"value": 2.0}})
    flatness = Flatness(quantized=extra, failed="the loss is inf")
    assert Flatness.from_dict(flatness.to_dict()) == flatness
    assert set(flatness.to_dict()) == {"quantized", "failed"}


def test_a_failed_record_of_either_schema_is_read(tmp_path):
    path = tmp_path / FP.suite / f"{FP.label}.json"
    record = Record(cell=FP, status="failed", reason="the loss is nan")
    assert parse_record(record_to_dict(record), path) == record
    empty = {"env": {}, "flatness": {}, "protocol": {}, "scores": {}, "train": {}}
    first = {**record_to_dict(record), **empty, "schema": 1}
    first["cell"]["budget"] = first["cell"].pop("recipe")
    assert parse_record(first, path) == record


def test_every_damage_of_a_baseline_is_refused_or_harmless(streets, tmp_path):
    path = tmp_path / "b.json"
    write_baseline(streets, path)
    data = json.loads(path.read_text())
    for place in paths(data):
        for replacement in (*REPLACEMENTS, 3):
            path.write_text(json.dumps(damaged(data, place, replacement)))
            cells, message = read_or_error(read_baseline, path)
            assert str(path) in message or all(isinstance(cell.label, str) for cell in cells.values())
    (cell_id,) = data["cells"]
    path.write_text(json.dumps(damaged(data, ("cells", cell_id, "label"), 3)))
    with pytest.raises(
        StoreError, match=rf"b\.json: cells\.{cell_id}\.label: expected a text, got 3; .*make a baseline"
    ):
        read_baseline(path)
