"""Plain JSON values to frozen dataclasses and back. Standard library only.

A dataclass is read by the types of its fields. Every error names the field by its path, such as
`protocol.shifts.fog/3.in_mean: expected true or false, got "x"`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, field, fields, is_dataclass
from functools import cache
from math import isfinite
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin, get_type_hints

from flatqat.errors import FlatqatError
from flatqat.spec.shared import SHARED, Reader, shared

Args = tuple[tuple[str, object], ...]
"""Settings as sorted pairs of name and value; an object in JSON."""

ADDED = {"added": True}
SCALARS = {str: "a text", bool: "true or false", int: "a whole number", float: "a finite number"}
ATOMS = {*SCALARS, NoneType}
LARGEST_INTEGER = 2**63  # beyond it numpy and pandas have no integers
LONGEST_SHOWN = 40  # characters of a wrong value in a message


class FieldError(ValueError):
    """A value that its field cannot hold; the message begins with the path of the field."""

    def __init__(self, message: str, path: tuple[str, ...] = ()) -> None:
        super().__init__(f"{'.'.join(path)}: {message}" if path else message)
        self.message, self.path = message, path

    def under(self, name: str) -> "FieldError":
        """The same error as the object sees it that has the value as its field `name`."""
        return FieldError(self.message, (name, *self.path))


class Stored:
    """A dataclass whose JSON object leaves out the fields that are at their defaults."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that differ from their defaults, as plain JSON values."""
        return dict(to_plain(self))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the inverse of `to_dict`. Raises FieldError on data of another shape."""
        value: Self = from_plain(cls, dict(data))
        return value


def added(default: Any) -> Any:
    """Return a field that files from before it lack: JSON leaves it out at its default, as in a `Stored`."""
    return field(default=default, metadata=ADDED)


def from_plain(kind: Any, value: object) -> Any:
    """Return JSON's `value` as the type `kind`. Raises FieldError.

    `kind` is a dataclass, str, bool, int, float, Any, `Args`, or a Literal, optional, tuple or Mapping of
    those. It may be Annotated: with SHARED, or with a function that reads it. A field may be absent only if
    its dataclass is `Stored` and it has a default, or if it was `added`.
    """
    return _reader(kind)(value)


def to_plain(value: Any) -> Any:
    """Return a value made of dataclasses, tuples and mappings as plain JSON values."""
    kind: Any = type(value)
    if kind in ATOMS:
        return value
    if (parts := _parts(kind)) is not None:
        return {
            name: dict(entry) if is_args else to_plain(entry)
            for name, default, is_args in parts
            if (entry := getattr(value, name)) != default
        }
    if isinstance(value, Mapping):
        return {name: to_plain(entry) for name, entry in value.items()}
    return [to_plain(entry) for entry in value] if isinstance(value, tuple | list) else value


@cache
def _parts(kind: Any) -> list[tuple[str, object, bool]] | None:
    """Return of each field of a dataclass the name, the value that is left out, and whether it is `Args`."""
    has_fields = is_dataclass(kind)
    if not has_fields:
        return None
    hints = _hints(kind)
    defaults = {f.name: _default(f) if _may_be_absent(f, kind) else MISSING for f in fields(kind)}
    return [(name, default, hints[name] == Args) for name, default in defaults.items()]


def _may_be_absent(of: "Field[Any]", kind: Any) -> bool:
    return issubclass(kind, Stored) or of.metadata == ADDED


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


@cache
def _reader(kind: Any) -> Reader:
    origin, options = get_origin(kind), get_args(kind)
    if origin is Annotated:
        inner, how = options
        return shared(_reader(inner)) if how == SHARED else how
    if kind in SCALARS:
        return lambda value: value if type(value) is str is kind else _scalar(kind, value)
    if kind in (Any, object):
        return _plain
    if kind == Args:
        return lambda value: tuple(sorted(_entries(_object(value), {}, _setting).items()))
    if is_dataclass(kind):
        return _dataclass_reader(kind)
    if origin is Literal:
        return lambda value: _choice(options, value)
    if origin in (Union, UnionType):
        (inner,) = (_reader(option) for option in options if option is not NoneType)
        return lambda value: None if value is None else inner(value)
    if origin is tuple:
        return lambda value: _tuple(options, value)
    inner = _reader(options[1])
    return lambda value: _entries(_object(value), {}, inner)


def _dataclass_reader(kind: Any) -> Reader:
    hints = _hints(kind)
    readers = {field.name: _reader(hints[field.name]) for field in fields(kind)}
    required = [f.name for f in fields(kind) if _default(f) is MISSING or not _may_be_absent(f, kind)]

    def read(value: object) -> Any:
        data = _object(value)
        for name in required:
            if name not in data:
                raise FieldError("expected a value, got none", (name,))
        values = _entries(data, readers, _unknown)
        try:
            return kind(**values)
        except FlatqatError as error:
            raise FieldError(str(error)) from error

    return read


def _unknown(value: object) -> None:
    raise FieldError("expected no field of this name")


def _entries(data: dict[str, Any], readers: Mapping[str, Reader], other: Reader) -> dict[str, Any]:
    """Return what the reader of each entry makes of it, `other` where it has none of its own."""
    values, name = {}, ""
    try:
        for name, entry in data.items():
            values[name] = readers.get(name, other)(entry)
    except FieldError as error:
        raise error.under(name) from None
    return values


def _under(name: str, reader: Reader, value: object) -> Any:
    try:
        return reader(value)
    except FieldError as error:
        raise error.under(name) from None


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _unexpected("an object", value)
    return value


def _scalar(kind: type, value: object) -> object:
    if type(value) is kind and (kind in (str, bool) or _is_number(value)):
        return value
    # JSON has one kind of number, so 1 may stand for 1.0; True is an int in Python, and no number in JSON.
    fits = isinstance(value, int | float if kind is float else kind)
    if kind in (int, float):
        fits = fits and not isinstance(value, bool) and _is_number(value)
    if not fits:
        raise _unexpected(SCALARS[kind], value)
    return value


def _is_number(value: Any) -> bool:
    return isfinite(value) if isinstance(value, float) else abs(value) < LARGEST_INTEGER


def _choice(options: tuple[object, ...], value: object) -> object:
    if not isinstance(value, str) or value not in options:
        raise _unexpected(f"one of {', '.join(map(str, options))}", value)
    return value


def _tuple(options: tuple[Any, ...], value: object) -> tuple[Any, ...]:
    if not isinstance(value, list) or (options[-1] is not ... and len(value) != len(options)):
        raise _unexpected("a list" if options[-1] is ... else f"a list of {len(options)}", value)
    kinds: Iterator[Any] = iter(options if options[-1] is not ... else options[:1] * len(value))
    return tuple(
        _under(str(i), _reader(kind), entry) for i, (kind, entry) in enumerate(zip(kinds, value, strict=True))
    )


def _plain(value: Any) -> Any:
    """Return any JSON value as it is, its numbers checked."""
    if isinstance(value, dict):
        return {name: _under(name, _plain, entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_under(str(i), _plain, entry) for i, entry in enumerate(value)]
    if isinstance(value, int | float) and not isinstance(value, bool) and not _is_number(value):
        raise _unexpected("a finite number", value)
    return value


def _setting(value: object) -> object:
    """Return the value of a setting, as `--set` gives one."""
    if isinstance(value, dict | list):
        raise _unexpected("a text, a number, true, false or null", value)
    return _plain(value)


def _unexpected(expected: str, value: object) -> FieldError:
    try:
        text = json.dumps(value)
    except (ValueError, TypeError, RecursionError):  # 5,000 digits, or too deep
        text = f"a {type(value).__name__}"
    text = text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "..."
    return FieldError(f"expected {expected}, got {text}")


def _default(field: "Field[Any]") -> object:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default
