"""The published schema of records says what their reader says: what one takes, the other takes."""

import copy
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from flatqat.bench.records.record_json import parse_record, read_record, record_to_dict
from flatqat.errors import StoreError
from tests.helpers import RESULTS, ROOT

RECORDS = sorted(RESULTS.glob("*/records/*/*.json"))
REPLACEMENTS = (None, True, 1, -2, 1.5, "x", [], [1, "x"], {}, {"x": 1})
REMOVED, ADDED = "removed", "one more"
OF_SHAPE = re.compile(
    r"expected (?:a text|true or false|a whole number|a finite number|an object|a list|no field of this name|"
    r"a value, got none)"
)


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads((ROOT / "docs" / "schema" / "record.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_published_schema_is_that_of_the_types():
    done = subprocess.run([sys.executable, ROOT / "scripts" / "record_schema.py", "--check"], timeout=60)
    assert done.returncode == 0, "out of date: run python scripts/record_schema.py"


def test_committed_records_are_valid(validator):
    for path in RECORDS[::5]:  # hundreds that differ in little
        plain = record_to_dict(read_record(path))
        assert [error.message for error in validator.iter_errors(plain)] == [], path


def few() -> tuple[dict, Path]:
    """The JSON of a record with two of its sets, since all are alike, and its path."""
    path = next(path for path in RECORDS if "anchor" in path.name and '"schema": 2' in path.read_text())
    data = json.loads(path.read_text())
    for shifts in (data["scores"], data["protocol"]["shifts"]):
        for name in [*shifts][2:]:
            if name != "id":
                del shifts[name]
    return data, path


def places(value: object, path: tuple = ()) -> Iterator[tuple]:
    """Where every value is, in objects and lists."""
    for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*path, key)
        if isinstance(entry, dict | list):
            yield from places(entry, (*path, key))


def mutations() -> Iterator[tuple[tuple, object, dict]]:
    """The record with one value replaced, one removed, or one too many."""
    data, _ = few()
    for place in places(data):
        for replacement in (*REPLACEMENTS, REMOVED, ADDED):
            new = copy.deepcopy(data)
            at = new
            for key in place[:-1]:
                at = at[key]
            if replacement is REMOVED:
                del at[place[-1]]
            elif replacement is ADDED and isinstance(at, dict):
                at["one too many"] = 1
            elif replacement is not ADDED:
                at[place[-1]] = replacement
            yield place, replacement, new


def test_reader_and_schema_take_the_same_shapes(validator):
    """What the reader takes is valid, and what it refuses for its shape is not."""
    _, path = few()
    taken = refused = 0
    for place, replacement, new in mutations():
        problem = refusal(new, path)
        if not problem:
            taken += 1
            assert validator.is_valid(new), (place, replacement)
        elif OF_SHAPE.search(problem):
            refused += 1
            assert not validator.is_valid(new), (place, replacement, problem)
    assert taken > 100
    assert refused > 500


def refusal(data: dict, path: Path) -> str:
    """Why the reader refuses a record; empty if it does not."""
    try:
        parse_record(copy.deepcopy(data), path)
    except StoreError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("status", ["failed", "skipped"])
def test_a_record_without_numbers_needs_its_cell_and_status_alone(validator, status):
    data, _ = few()
    short = {"schema": 2, "cell": data["cell"], "status": status}
    assert validator.is_valid(short)
    assert not validator.is_valid({**short, "status": "done"})
    assert not validator.is_valid({**short, "schema": 1})


def test_fields_are_described():
    schema = json.loads((ROOT / "docs" / "schema" / "record.json").read_text(encoding="utf-8"))
    assert schema["properties"]["cell"]["description"] == "The cell."
    described = schema["$defs"]["Cell"]["properties"]["quant_version"]["description"]
    assert described.endswith("the larger one of the quantizer's and that of the network's layers.")
