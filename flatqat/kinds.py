"""Whether values of plugins are of the kinds that their fields are annotated with. Standard library only."""

import inspect
from collections.abc import Callable, Collection, Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

NAMES = {str: "a text", bool: "True or False", int: "a whole number", type: "a class", NoneType: "None"}
LONGEST_SHOWN = 60  # characters of a wrong value in a message


def misfit(thing: Any, hints: Mapping[str, Any]) -> str:
    """Return of the first attribute that is not of its kind `version to be a whole number, got '1'`."""
    for name, kind in hints.items():
        if not fits(value := getattr(thing, name), kind):
            return f"{name} to be {said(kind)}, got {shown(value)}"
    return ""


@cache
def kinds_of_fields(of: type, unknown: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the kinds of a dataclass's fields, Any for the classes `unknown`, which are not imported."""
    return get_type_hints(of, localns=dict.fromkeys(unknown, Any))


def fits(value: Any, kind: Any) -> bool:
    """Whether a value is of a kind: Any, a class, union, Literal, tuple, Collection, Mapping or Callable.

    True is not a number, a whole number may stand for any other, and a list for a tuple.
    """
    origin, options = get_origin(kind), get_args(kind)
    if kind is Any:
        return True
    if origin in (Union, UnionType):
        return any(fits(value, option) for option in options)
    if origin is Literal:
        return isinstance(value, str) and value in options
    if origin is tuple and options[-1] is not ...:
        several = isinstance(value, tuple | list) and len(value) == len(options)
        return several and all(map(fits, value, options))
    if origin in (tuple, Collection):
        is_several = isinstance(value, tuple | list if origin is tuple else Collection)
        return is_several and not isinstance(value, str) and all(fits(entry, options[0]) for entry in value)
    if origin is Mapping:
        return isinstance(value, Mapping) and all(fits(entry, options[1]) for entry in value.values())
    if origin is Callable:
        return callable(value)
    if kind in (int, float):
        return isinstance(value, (int, kind)) and not isinstance(value, bool)
    return isinstance(value, origin or kind)


def said(kind: Any) -> str:
    """Return a kind in words: `a whole number or None`."""
    origin, options = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return " or ".join(map(said, options))
    if origin is Literal:
        return " or ".join(map(repr, options))
    if origin in (tuple, Collection):
        length = "" if options[-1] is ... or origin is Collection else f" of {len(options)}"
        return f"a tuple{length}, each of it {said(options[0])}"
    if origin is Mapping:
        return f"a dict, each value {said(options[1])}"
    return "a function" if origin is Callable else NAMES.get(origin or kind) or f"a {kind.__name__}"


def shown(value: Any) -> str:
    """Return a text, a number or None as Python writes it, and of anything else what it is."""
    if isinstance(value, tuple | list) and all(isinstance(entry, str | int | float) for entry in value):
        text = repr(value)
    elif isinstance(value, str | int | float | None):
        text = ascii(value)
    else:
        return f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "..."


def defined_at(thing: Any) -> str:
    """Return ` (file:line)`, where a class or a function is defined; an empty text where that is unknown."""
    try:
        return f" ({inspect.getsourcefile(thing)}:{max(1, inspect.getsourcelines(thing)[1])})"
    except (OSError, TypeError, SyntaxError):
        return ""
