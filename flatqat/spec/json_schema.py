"""The JSON Schema of records, made from the types that read them. Standard library only.

It says what `reading` checks: the shape of every field. What must fit together is said in its descriptions.
"""

import inspect
import re
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from flatqat.spec.reading import ADDED, LARGEST_INTEGER, Args, Stored
from flatqat.spec.record import ALWAYS, SCHEMA, Record

DRAFT = "https://json-schema.org/draft/2020-12/schema"
ADDRESS = "https://flatqat.github.io/flatqat/schema/record.json"
DONE = "done"
Schema = dict[str, Any]
SCALARS: dict[Any, Schema] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer", "exclusiveMinimum": -LARGEST_INTEGER, "exclusiveMaximum": LARGEST_INTEGER},
    float: {"type": "number"},
    NoneType: {"type": "null"},
    Any: {},
    object: {},
    Args: {
        "type": "object",
        "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
    },
}


def record_schema() -> Schema:
    """Return the schema of a record of today's version."""
    definitions: dict[str, Schema] = {}
    whole = _object(Record, definitions)
    return {
        "$schema": DRAFT,
        "$id": ADDRESS,
        "title": f"A record of flatqat, schema {SCHEMA}",
        **whole,
        "properties": {"schema": {"const": SCHEMA}, **whole["properties"]},
        "required": ["schema", *whole["required"]],
        "if": {"properties": {"status": {"const": DONE}}, "required": ["status"]},
        "then": {"required": list(ALWAYS)},
        "$defs": dict(sorted(definitions.items())),
    }


def _schema(kind: Any, definitions: dict[str, Schema]) -> Schema:
    """Return the schema of a type; dataclasses become entries of `definitions`."""
    if kind in SCALARS:
        return dict(SCALARS[kind])
    origin, options = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _schema(options[0], definitions)
    if isinstance(kind, type) and is_dataclass(kind):
        name = kind.__name__
        if name not in definitions:
            definitions[name] = {}  # taken, should the type contain itself
            definitions[name] = _object(kind, definitions)
        return {"$ref": f"#/$defs/{name}"}
    if origin is Literal:
        return {"enum": list(options)}
    if origin in (Union, UnionType):
        return _either(*(_schema(option, definitions) for option in options))
    if origin is tuple and options[-1] is ...:
        return {"type": "array", "items": _schema(options[0], definitions)}
    if origin is tuple:
        parts = [_schema(option, definitions) for option in options]
        return {"type": "array", "prefixItems": parts, "minItems": len(parts), "maxItems": len(parts)}
    return {"type": "object", "additionalProperties": _schema(options[1], definitions)}


def _either(one: Schema, null: Schema) -> Schema:
    """Return the schema of an optional value."""
    return {**one, "type": [one["type"], "null"]} if "type" in one else {"anyOf": [one, null]}


def _object(kind: Any, definitions: dict[str, Schema]) -> Schema:
    """Return the schema of a dataclass, whose docstring describes it and its fields."""
    hints, text = get_type_hints(kind, include_extras=True), inspect.getdoc(kind) or ""
    described = attributes_of(kind)
    sparse = issubclass(kind, Stored)
    properties = {}
    for each in fields(kind):
        said = {"description": described[each.name]} if each.name in described else {}
        properties[each.name] = said | _schema(hints[each.name], definitions)
    return {
        "description": text.partition("\n\n")[0].replace("\n", " "),
        "type": "object",
        "properties": properties,
        "required": [each.name for each in fields(kind) if not _may_lack(each, sparse=sparse)],
        "additionalProperties": False,
    }


def _may_lack(field: Any, *, sparse: bool) -> bool:
    """Whether an object may lack a field: it has a default, and its type leaves it out or it was `added`."""
    has_default = field.default is not MISSING or field.default_factory is not MISSING
    return has_default and (sparse or field.metadata == ADDED)


def attributes_of(kind: Any) -> dict[str, str]:
    """Return what the section `Attributes` of a class's docstring says, by name."""
    section = (inspect.getdoc(kind) or "").partition("Attributes:\n")[2].partition("\n\n")[0]
    found = re.finditer(r"^    (\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE)
    return {match[1]: re.sub(r"\s+", " ", match[2]) for match in found}
