"""Records to and from JSON, checked on the way in: a damaged file is an error that names it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from flatqat.bench.records.schema_1 import upgrade
from flatqat.errors import StoreError
from flatqat.metrics.metric import METRICS
from flatqat.spec import SCHEMA, Cell, Record, Score, Status


def to_json(value: Mapping[str, object]) -> bytes:
    """Canonical JSON for people and diffs: sorted keys, no NaN, a line an entry of the second level."""

    def lines(level: Mapping[str, object], indent: str, leaf: Callable[[object], str]) -> str:
        inner = (f"{indent} {json.dumps(key)}: {leaf(level[key])}" for key in sorted(level))
        return "{\n" + ",\n".join(inner) + f"\n{indent}}}"

    def flat(entry: object) -> str:
        return json.dumps(entry, sort_keys=True, allow_nan=False)

    def second(entry: object) -> str:
        return lines(entry, " ", flat) if isinstance(entry, Mapping) and entry else flat(entry)

    return (lines(value, "", second) + "\n").encode()


def readable(value: object, indent: str = "") -> str:
    """JSON for people, in the order given: a line an entry, lists on one line. No NaN."""
    if not isinstance(value, Mapping) or not value:
        return json.dumps(value, allow_nan=False)
    inner = (f"{indent}  {json.dumps(key)}: {readable(entry, indent + '  ')}" for key, entry in value.items())
    return "{\n" + ",\n".join(inner) + f"\n{indent}}}"


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises StoreError."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error
    if not isinstance(data, dict):
        raise _damaged(path, TypeError(f"a {type(data).__name__} at the top level"))
    return data


def read_record(path: Path) -> Record:
    """Read and check one record. Raises StoreError naming the file when it is damaged or from the future."""
    data = read_json(path)
    schema = data.pop("schema", None)
    if isinstance(schema, int) and schema > SCHEMA:
        raise StoreError(
            f"{path}: expected a record of schema {SCHEMA} or older, got {schema}; update flatqat"
        )
    try:
        if schema == 1:
            data = upgrade(data)
        scores = {
            shift: {metric: Score(**score) for metric, score in metrics.items()}
            for shift, metrics in data.pop("scores").items()
        }
        record = Record(**{**data, "cell": Cell.from_dict(data["cell"]), "scores": scores})
        _check(record, path.stem)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise _damaged(path, error) from error
    return record


def record_to_dict(record: Record) -> dict[str, Any]:
    """The inverse of `read_record`, as plain JSON values."""
    scores = {
        shift: {metric: asdict(score) for metric, score in metrics.items()}
        for shift, metrics in record.scores.items()
    }
    plain = {name: getattr(record, name) for name in Record.__dataclass_fields__}
    return {**plain, "cell": record.cell.to_dict(), "scores": scores}


def _check(record: Record, label: str) -> None:
    """Raise ValueError or KeyError unless everything that reports rely on is there."""
    if record.status not in get_args(Status):
        raise ValueError(f"status {record.status!r}")
    if not isinstance(record.cell.seed, int) or record.cell.label != label:
        raise ValueError(f"cell {record.cell.label} under another name")
    if record.status != "done":
        return
    shifts = record.protocol["shifts"]
    if "id" not in shifts or set(shifts) != set(record.scores):
        raise ValueError("scores that do not fit the shifts")
    for name in ("suite", "data", "reference"):
        record.protocol[name]
    name, names = record.protocol.get("metric", "top1"), record.protocol.get("class_names", [])
    if name not in METRICS or not isinstance(names, list):
        raise ValueError(f"metric {name!r} and class names {names!r}")
    prefix = METRICS[name].by_class
    by_class = [f"{prefix}/{k}" for k in range(len(names))] if prefix else []
    for metrics in record.scores.values():
        for metric in (name, "nll", "ece", *by_class):
            if not isinstance(metrics[metric].value, int | float | None):
                raise ValueError(f"{metric} {metrics[metric].value!r}")
    if measured := record.flatness.get("quantized"):
        values = (
            measured["lambda_max"]["value"],
            measured["lambda_max"]["residual"],
            measured["sharpness_sam"]["value"],
        )
        if not all(isinstance(value, int | float | None) for value in values):
            raise ValueError(f"flatness {values}")


def _damaged(path: Path, error: Exception) -> StoreError:
    cause = f"no {error}" if isinstance(error, KeyError) else str(error)
    return StoreError(
        f"{path}: expected a record, got a damaged file ({cause}); delete it and run the cell again"
    )
