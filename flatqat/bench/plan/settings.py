"""Settings such as `--set anchor.strength=0.1`: from text to checked values of a frozen config.

A comma separates values that are run one after the other, so no setting has a comma in its value.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import fields
from itertools import product
from math import inf, isfinite
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from flatqat.errors import UsageError, choose
from flatqat.methods.settings import kind_of
from flatqat.spec.recipe import LARGEST_NUMBER

Settings = Mapping[str, Mapping[str, str]]
LARGEST = 10**9


def parse_settings(texts: Iterable[str]) -> Settings:
    """Group `owner.key=value` texts as {owner: {key: value text}}; values of one key join with a comma."""
    settings: dict[str, dict[str, str]] = defaultdict(dict)
    for text in texts:
        name, equals, value = text.partition("=")
        owner, dot, key = name.partition(".")
        if not (equals and dot and owner and key):
            raise UsageError(f"--set: expected OWNER.KEY=VALUE such as anchor.strength=0.1, got {text!r}")
        values, key = settings[owner.strip()], key.strip()
        values[key] = f"{values[key]},{value.strip()}" if key in values else value.strip()
    return settings


def sweep(settings: Settings, owners: Collection[str]) -> Iterator[Settings]:
    """Yield the settings of some owners with a single value each: every combination of the values given."""
    keys = [(owner, key) for owner in settings if owner in owners for key in settings[owner]]
    texts = (settings[owner][key].split(",") for owner, key in keys)
    for values in product(*texts):
        chosen: dict[str, dict[str, str]] = defaultdict(dict)
        for (owner, key), value in zip(keys, values, strict=True):
            chosen[owner][key] = value.strip()
        yield chosen


def configure(config_type: type[Any], owner: str, values: Mapping[str, str]) -> dict[str, Any]:
    """Convert text values to the types of `config_type`'s fields; raises UsageError on bad keys or values."""
    hints = get_type_hints(config_type)
    choices = [field.name for field in fields(config_type) if field.init]
    for key in values:
        choose(f"setting of {owner}", key, choices)
    return {key: _convert(text, hints[key], f"{owner}.{key}") for key, text in values.items()}


def changed(defaults: Any, values: Mapping[str, Any]) -> tuple[tuple[str, object], ...]:
    """Return the values that differ from `defaults`, sorted, as a cell's identity holds them."""
    return tuple(sorted((key, value) for key, value in values.items() if value != getattr(defaults, key)))


def _convert(text: str, hint: Any, name: str) -> object:
    if text.lower() == "none" and NoneType in get_args(hint):
        return None
    hint = kind_of(hint)
    if get_origin(hint) is Literal:
        if text in get_args(hint):
            return text
        raise UsageError(f"--set {name}: expected one of {', '.join(get_args(hint))}, got {text!r}")
    if hint is bool:
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise UsageError(f"--set {name}: expected true or false, got {text!r}")
    try:
        value = hint(text)
        if isinstance(value, int) and abs(value) > LARGEST:
            raise UsageError(f"--set {name}: expected at most {LARGEST:,}, got {text}")
        if isinstance(value, float) and LARGEST_NUMBER < abs(value) < inf:
            raise UsageError(f"--set {name}: expected at most {LARGEST_NUMBER}, got {text}")
        is_number = isinstance(value, int | float)
        if is_number and not (isfinite(value) and text.isascii() and "_" not in text):
            raise ValueError(text)
        return value
    except ValueError:
        word = {int: "a whole number", float: "a finite number"}.get(hint, hint.__name__)
        raise UsageError(f"--set {name}: expected {word}, got {text!r}") from None
