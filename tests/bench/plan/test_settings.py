"""`--set` texts to typed values."""

from dataclasses import dataclass
from typing import Literal

import pytest

from flatqat.bench.plan.settings import changed, configure, parse_settings
from flatqat.errors import UsageError


@dataclass(frozen=True)
class Config:
    strength: float = 0.1
    steps: int = 5
    on: bool = False
    beta: float | None = None
    kind: Literal["a", "b"] = "a"


def test_texts_become_the_types_of_their_fields():
    settings = parse_settings(["m.strength=1e-3", "m.steps=7", "m.on=true", "m.beta=none", "m.kind=b"])
    values = configure(Config, "m", settings["m"])
    assert values == {"strength": 1e-3, "steps": 7, "on": True, "beta": None, "kind": "b"}
    assert configure(Config, "m", {"beta": "0.5"}) == {"beta": 0.5}


@pytest.mark.parametrize("text", ["strength=1", "m.strength", "m.=1", ".k=1", "m"])
def test_malformed_settings(text):
    with pytest.raises(UsageError, match=r"expected OWNER\.KEY=VALUE"):
        parse_settings([text])


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"strenght": "1"}, "did you mean 'strength'"),
        ({"steps": "1.5"}, "expected a whole number, got '1.5'"),
        ({"steps": "1_0"}, "expected a whole number, got '1_0'"),
        ({"steps": "１"}, "expected a whole number, got '１'"),
        ({"steps": "9" * 20}, "m.steps: expected at most 1,000,000,000, got 9"),
        ({"steps": "9" * 400}, "m.steps: expected at most 1,000,000,000, got 9"),
        ({"strength": "x"}, "expected a finite number, got 'x'"),
        ({"strength": "nan"}, "expected a finite number, got 'nan'"),
        ({"on": "1"}, "expected true or false"),
        ({"kind": "c"}, "expected one of a, b, got 'c'"),
    ],
)
def test_bad_values(values, problem):
    with pytest.raises(UsageError, match=problem):
        configure(Config, "m", values)


def test_only_what_differs_from_the_defaults_enters_the_identity():
    assert changed(Config(), {"strength": 0.1, "steps": 6}) == (("steps", 6),)
