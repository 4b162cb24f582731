"""Ranges of settings: written in the annotations, checked by the base class, inherited."""

from dataclasses import dataclass, fields
from typing import Annotated, Literal

import pytest

from flatqat import registry
from flatqat.bench.plan.settings import configure
from flatqat.errors import UsageError
from flatqat.methods.base import Calibration
from flatqat.methods.settings import AtLeast, Between


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(Calibration):
    k: Annotated[int, AtLeast(1)] = 5
    beta: Annotated[float | None, Between(0, 1)] = None
    gamma: Annotated[float, Between(0, 1)] | None = None
    top: float = 2.0
    part: Annotated[float, Between(0, "top")] = 1.0
    shape: Literal["round", "flat"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived(Config):
    k: int = 7


@pytest.mark.parametrize("config_type", [Config, Derived])
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"k": 0}, "test-settings.k: expected at least 1, got 0"),
        ({"beta": float("nan")}, "test-settings.beta: expected 0 to 1, got nan"),
        ({"beta": 1.5}, "test-settings.beta: expected 0 to 1, got 1.5"),
        ({"gamma": -0.5}, "test-settings.gamma: expected 0 to 1, got -0.5"),
        ({"part": 2.5}, "test-settings.part: expected 0 to 2.0, got 2.5"),
        ({"top": 0.5}, "test-settings.part: expected 0 to 0.5, got 1.0"),
        ({"percentile": 49.0}, "test-settings.percentile: expected 50 to 100, got 49.0"),
    ],
)
def test_a_value_outside_its_range_is_refused(config_type, settings, message):
    with pytest.raises(UsageError, match=f"^{message}$"):
        config_type(**settings)


def test_both_ends_and_none_are_in_the_range():
    Config(k=1, beta=0, gamma=1, top=0, part=0, ranges="percentile", percentile=100)
    assert Config(beta=None, gamma=None).beta is None


def test_text_becomes_a_value_of_the_annotated_type():
    texts = {"k": "3", "beta": "none", "gamma": "0.5", "part": "0.25", "shape": "flat"}
    assert configure(Config, "mine", texts) == texts | {"k": 3, "beta": None, "gamma": 0.5, "part": 0.25}
    assert configure(Config, "mine", {"shape": "none"}) == {"shape": None}
    with pytest.raises(UsageError, match=r"mine.shape: expected one of round, flat, got 'x'"):
        configure(Config, "mine", {"shape": "x"})
    for text in ("x", "nan"):
        with pytest.raises(UsageError, match=r"mine.beta: expected a finite number"):
            configure(Config, "mine", {"beta": text})


UNCHECKED = {"pretrain", "fp"}  # no settings


@pytest.mark.parametrize("name", sorted(set(registry.names(registry.METHODS)) - UNCHECKED))
def test_every_number_of_a_built_in_method_has_a_range(name):
    """Each number is refused far below its default; booleans and choices have no range."""
    config = registry.load(registry.METHODS, name).Config()
    numbers = [f.name for f in fields(config) if type(getattr(config, f.name)) in (int, float)]
    assert numbers
    for number in numbers:
        with pytest.raises(UsageError, match=rf"{number}: expected "):
            type(config)(**{number: -1e9})


def test_a_percentile_needs_the_ranges_that_read_it():
    """Else the same numbers would be stored under two settings; a plugin's own default is none."""
    assert Calibration(ranges="percentile", percentile=99).percentile == 99
    with pytest.raises(
        UsageError, match=r"base\.percentile: expected none with ranges=mse, got 99; add ranges"
    ):
        Calibration(percentile=99)

    @dataclass(frozen=True, kw_only=True)
    class Own(Calibration):
        percentile: float = 99.5

    assert Own().percentile == 99.5
