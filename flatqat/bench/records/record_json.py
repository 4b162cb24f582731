"""Records to and from JSON. Reading is strict: an error names the file and, by its path, the field."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from flatqat.bench.records.alike import parsed, strict
from flatqat.bench.records.files import read_bytes
from flatqat.bench.records.schema_1 import upgrade
from flatqat.errors import Misplaced, StoreError
from flatqat.metrics.effective_robustness import LINES
from flatqat.metrics.mce import NORMALIZERS
from flatqat.metrics.metric import METRICS
from flatqat.spec import SCHEMA, FieldError, Record
from flatqat.spec.reading import from_plain

T = TypeVar("T")
TRAINING_ID = re.compile(r"[0-9a-f]{12}")  # it names a file of weights
RERUN = "restore the file, or delete it and run the cell again"


def to_json(value: Mapping[str, object]) -> bytes:
    """Return canonical JSON for people and diffs: keys sorted, no NaN, each entry of an entry on a line."""

    def lines(level: Mapping[str, object], indent: str, leaf: Callable[[object], str]) -> str:
        inner = (f"{indent} {json.dumps(key)}: {leaf(level[key])}" for key in sorted(level))
        return "{\n" + ",\n".join(inner) + f"\n{indent}}}"

    def one_line(entry: object) -> str:
        return json.dumps(entry, sort_keys=True, allow_nan=False)

    def second(entry: object) -> str:
        return lines(entry, " ", one_line) if isinstance(entry, Mapping) and entry else one_line(entry)

    return (lines(value, "", second) + "\n").encode()


def readable(value: object, indent: str = "") -> str:
    """Return JSON for people, in the order given: each entry on a line, lists on one line, no NaN."""
    if not isinstance(value, Mapping) or not value:
        return json.dumps(value, allow_nan=False)
    inner = (f"{indent}  {json.dumps(key)}: {readable(entry, indent + '  ')}" for key, entry in value.items())
    return "{\n" + ",\n".join(inner) + f"\n{indent}}}"


def read_json(path: Path, fix: str = RERUN) -> dict[str, Any]:
    """Return the object in a JSON file. Raises StoreError, which ends with the advice `fix`."""
    return parse_json(read_bytes(path, fix), path, fix)


def parse_json(
    text: bytes, path: Path, fix: str = RERUN, parse: Callable[[bytes], Any] = strict
) -> dict[str, Any]:
    """Return the object in a file's JSON, whose names are unique. Raises StoreError."""
    try:
        data = parse(text)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path}: expected JSON, got a damaged file ({error}); {fix}") from error
    if not isinstance(data, dict):
        raise StoreError(f"{path}: expected a JSON object, got a {type(data).__name__}; {fix}")
    return data


def read_as(kind: type[T], data: object, path: Path, fix: str = RERUN) -> T:
    """Return JSON's `data` as a dataclass. Raises StoreError, which names the file and the field."""
    try:
        value: T = from_plain(kind, data)
    except (FieldError, RecursionError) as error:
        raise StoreError(f"{path}: {error}; {fix}") from error
    return value


def pop_schema(data: dict[str, Any], newest: int, path: Path, fix: str = RERUN) -> int:
    """Take the number of the schema out of `data`. Raises StoreError unless it is from 1 to `newest`."""
    schema = data.pop("schema", None)
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        got = "none" if schema is None else json.dumps(schema)[:20]
        raise StoreError(f"{path}: schema: expected a whole number from 1 to {newest}, got {got}; {fix}")
    if schema > newest:
        raise StoreError(f"{path}: schema: expected {newest} or older, got {schema}; update flatqat")
    return schema


def read_record(path: Path) -> Record:
    """Read and check one record. Raises StoreError as `parse_record` does, and Vanished if there is none."""
    return parse_record(parse_json(read_bytes(path, RERUN), path, parse=parsed), path)


def parse_record(data: dict[str, Any], path: Path) -> Record:
    """Return the record in the JSON of a file. Raises StoreError, which names the file and the field.

    It is Misplaced if the file has not the folder and the name of the record's cell.
    """
    schema = pop_schema(data, SCHEMA, path)
    try:
        record = Record.from_dict(upgrade(data) if schema == 1 else data)
        _check(record)
    except (FieldError, RecursionError) as error:
        raise StoreError(f"{path}: {error}; {RERUN}") from error
    cell = record.cell
    if (cell.suite, f"{cell.label}.json") != (path.parent.name, path.name):
        got = f"got {cell.label} of {cell.suite}"
        raise Misplaced(f"{path}: cell: expected the cell that the file is named after, {got}; {RERUN}")
    return record


def record_to_dict(record: Record) -> dict[str, Any]:
    """Return the inverse of `parse_record`, as plain JSON values."""
    return {"schema": SCHEMA, **record.to_dict()}


def record_as_json(record: Record) -> bytes:
    """Return the JSON of a record. Raises StoreError if it could not be read again, as nothing else could."""
    text, path = to_json(record_to_dict(record)), Path(record.cell.suite, f"{record.cell.label}.json")
    try:
        parse_record(parse_json(text, path), path)
    except StoreError as error:
        said = str(error).removesuffix(f"; {RERUN}")
        raise StoreError(f"{said}; the record is not stored, fix the plugin that this is from") from error
    return text


def _check(record: Record) -> None:
    """Raise FieldError unless the fields fit together, and everything that reports rely on is there."""
    if record.cell.parent is not None and not TRAINING_ID.fullmatch(record.cell.parent):
        raise FieldError("expected a training id of twelve hex digits", ("cell", "parent"))
    if record.status != "done":
        return
    protocol, scores = record.protocol, record.columns.metrics
    if "id" not in protocol.shifts or set(protocol.shifts) != set(scores):
        odd = sorted(set(protocol.shifts) ^ set(scores)) or ["id"]
        raise FieldError(f"expected those of the protocol's shifts, id among them; see {odd[0]}", ("scores",))
    for name, value, choices in (
        ("metric", protocol.metric, METRICS),
        ("normalizer", protocol.normalizer, {"", *NORMALIZERS}),
        ("baseline", protocol.baseline, {"", *LINES}),
    ):
        if value not in choices:
            expected = ", ".join(sorted(filter(None, choices)))
            raise FieldError(f"expected one of {expected}, got {value!r}", ("protocol", name))
    by_class = METRICS[protocol.metric].by_class
    classes = {name for name in scores["id"] if by_class and name.startswith(f"{by_class}/")}
    if by_class and protocol.class_names and len(protocol.class_names) != len(classes):
        raise FieldError(f"expected a name for each of {len(classes)} classes", ("protocol", "class_names"))
    numbered = {f"{by_class}/{k}" for k in range(len(classes))}
    top1 = {"top1"} if protocol.normalizer or protocol.baseline else set()
    needed = {protocol.metric, "nll", "ece"} | numbered | top1
    for shift, metrics in scores.items():
        if lacking := needed.difference(metrics):
            raise FieldError("expected a score, got none", ("scores", shift, min(lacking)))
