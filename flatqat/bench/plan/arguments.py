"""The values of a request made in Python, checked as the command line checks its options."""

import os
from collections.abc import Callable, Iterable, Mapping
from operator import index
from pathlib import Path
from typing import Any

from flatqat.errors import UsageError

Check = Callable[[str, Any], Any]
"""Returns a value, in the type of its field, by the field's name. Raises UsageError."""


def refused(name: str, expected: str, value: object) -> UsageError:
    """Return the error of a value that a field cannot have."""
    return UsageError(f"Request.{name}: expected {expected}, got {value!r}")


def texts(example: str, *, least: int = 0, kinds: tuple[type, ...] = (str,)) -> Check:
    """Return a check of texts; one alone is taken as the only one."""

    def check(name: str, value: Any) -> tuple[Any, ...]:
        found = (value,) if isinstance(value, kinds) else value
        expected = f"texts such as ({example!r},)"
        if not isinstance(found, Iterable) or isinstance(found, bytes | Mapping):
            raise refused(name, expected, value)
        found = tuple(found)
        if len(found) < least or not all(isinstance(text, kinds) and text != "" for text in found):
            raise refused(name, expected, value)
        return found

    return check


def number(low: int, high: int | None = None) -> Check:
    """Return a check of a whole number, from `low` to `high`; numpy's become those of Python."""
    expected = f"a whole number of at least {low}" if high is None else f"a whole number from {low} to {high}"

    def check(name: str, value: Any) -> int:
        try:
            found = index(value)
        except TypeError:
            raise refused(name, expected, value) from None
        if isinstance(value, bool) or found < low or (high is not None and found > high):
            raise refused(name, expected, value)
        return found

    return check


def numbers(low: int, high: int) -> Check:
    """Return a check of one or more whole numbers from `low` to `high`."""
    one = number(low, high)

    def check(name: str, value: Any) -> tuple[int, ...]:
        if not isinstance(value, Iterable) or isinstance(value, str | bytes):
            raise refused(name, "whole numbers such as (0, 1, 2)", value)
        found = tuple(one(name, part) for part in value)
        if not found:
            raise refused(name, "whole numbers such as (0, 1, 2)", value)
        return found

    return check


def path(name: str, value: Any) -> Path:
    """Return the path of a text or a path."""
    if not isinstance(value, str | os.PathLike) or value == "":
        raise refused(name, "a path", value)
    return Path(value)


def text(name: str, value: Any) -> str:
    """Return a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise refused(name, "a text", value)
    return value


def flag(name: str, value: Any) -> bool:
    """Return a truth value."""
    if not isinstance(value, bool):
        raise refused(name, "True or False", value)
    return value


def settings(name: str, value: Any) -> Mapping[str, Mapping[str, str]]:
    """Return settings, texts by owner and key, as a copy that the caller's changes do not reach."""
    if isinstance(value, Mapping) and all(isinstance(of_owner, Mapping) for of_owner in value.values()):
        texts_ = [part for owner in value for pair in value[owner].items() for part in (owner, *pair)]
        if all(isinstance(part, str) for part in texts_):
            return {owner: dict(of_owner) for owner, of_owner in value.items()}
    raise refused(name, "texts by owner and key, such as {'anchor': {'strength': '0.1'}}", value)


def optional(check: Check) -> Check:
    """Return a check that lets None through."""
    return lambda name, value: None if value is None else check(name, value)
