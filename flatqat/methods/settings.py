"""Hyper-parameter ranges, written in a configuration's annotations and checked when it is made."""

from dataclasses import dataclass
from functools import lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from flatqat.errors import UsageError


@dataclass(frozen=True, slots=True)
class Between:
    """The closed range [low, high] of a setting: `beta: Annotated[float, Between(0, 1)] = 0.02`.

    `high` may be the name of another setting of the same configuration. None is always accepted, so that
    `Annotated[float | None, Between(0, 1)]` is an optional setting.
    """

    low: float
    high: float | str | None = None


class AtLeast(Between):
    """The range from `low` upwards of a setting: `strength: Annotated[float, AtLeast(0)] = 0.1`."""


class CheckedConfig:
    """The base class of configurations, frozen dataclasses: it checks every field against its range."""

    __slots__ = ()

    def __post_init__(self) -> None:
        """Raise UsageError, naming the method after its file, for a setting outside its range."""
        for name, allowed in ranges(type(self)).items():  # type: ignore[arg-type]  # classes are hashable
            value = getattr(self, name)
            high = getattr(self, allowed.high) if isinstance(allowed.high, str) else allowed.high
            inside = value is None or (value >= allowed.low and (high is None or value <= high))
            if not inside:  # nor is NaN
                expected = f"at least {allowed.low}" if high is None else f"{allowed.low} to {high}"
                raise UsageError(f"{method_of(type(self))}.{name}: expected {expected}, got {value}")


def method_of(config_type: type[CheckedConfig]) -> str:
    """Return the name of the method of a configuration, which is that of its file."""
    return config_type.__module__.rpartition(".")[2].replace("_", "-")


def kind_of(hint: Any) -> Any:
    """Return the type of a setting that `--set` can give, of `float | None` that is float; else None.

    These are bool, int, float, str, and a Literal of texts.
    """
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    kinds = [option for option in options if option is not NoneType]
    if len(kinds) != 1:
        return None
    words = get_args(kinds[0]) if get_origin(kinds[0]) is Literal else ()
    is_word = bool(words) and all(isinstance(word, str) for word in words)
    return kinds[0] if is_word or kinds[0] in (bool, int, float, str) else None


@lru_cache
def ranges(config_type: type[Any]) -> dict[str, Between]:
    """Return the ranges of a configuration's fields by name, inherited fields first.

    A subclass that only gives a field another default keeps its range.
    """
    by_name: dict[str, Between] = {}
    for owner in reversed(config_type.__mro__):
        for name, hint in get_type_hints(owner, include_extras=True).items():
            if allowed := _range_in(hint):
                by_name[name] = allowed
    return by_name


def _range_in(hint: Any) -> Between | None:
    """Return the range in a type hint, also if it annotates one member of a union."""
    if get_origin(hint) is Annotated:
        return next((extra for extra in hint.__metadata__ if isinstance(extra, Between)), None)
    return next((allowed for part in get_args(hint) if (allowed := _range_in(part))), None)
