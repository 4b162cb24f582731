"""`--set` texts to typed values."""

from dataclasses import dataclass
from typing import Literal

import pytest

from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.plan.settings import changed, configure, parse_settings, sweep
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
        ({"strength": "1e39"}, "m.strength: expected at most 3.4e.38, got 1e39"),
        ({"strength": "-1e39"}, "m.strength: expected at most 3.4e.38, got -1e39"),
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


def test_a_setting_of_several_values_is_swept_with_every_other():
    settings = parse_settings(["m.k=1, 2", "recipe.lr=0.1,0.2", "other.x=1,2,3", "m.k=3"])
    assert settings["m"] == {"k": "1, 2,3"}
    swept = [(chosen["m"]["k"], chosen["recipe"]["lr"]) for chosen in sweep(settings, {"m", "recipe"})]
    assert swept == [(k, lr) for k in "123" for lr in ("0.1", "0.2")]
    assert [dict(chosen) for chosen in sweep(settings, {"qat"})] == [{}]
    assert [dict(chosen) for chosen in sweep({}, {"qat"})] == [{}]


def of(methods, *texts, bits=("3",)):
    settings = parse_settings(texts)
    request = Request(suites=("toy",), methods=methods, bits=bits, seeds=(0,), settings=settings)
    return [job.cell for job in make_plan(request).scored()]


def test_a_sweep_runs_its_own_method_once_for_each_value():
    cells = of(("fp", "qat", "anchor"), "anchor.strength=0.05,0.1,0.10,1", "anchor.coupling=elastic")
    assert [cell.method for cell in cells] == ["fp", "qat", "anchor", "anchor", "anchor"]
    strengths = [dict(cell.method_args).get("strength", 0.1) for cell in cells[2:]]
    assert strengths == [0.05, 0.1, 1.0]
    assert all(dict(cell.method_args)["coupling"] == "elastic" for cell in cells[2:])
    assert len({cell.label for cell in cells}) == 5
    assert cells == [
        *of(("fp", "qat")),
        *(of(("anchor",), f"anchor.strength={s}", "anchor.coupling=elastic")[0] for s in strengths),
    ]


def test_a_sweep_of_the_recipe_runs_every_method():
    cells = of(("fp", "qat"), "recipe.lr=0.01,0.02")
    assert [(cell.method, cell.recipe_args) for cell in cells] == [
        ("fp", (("lr", 0.01),)), ("fp", ()), ("qat", (("lr", 0.01),)), ("qat", ()),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("anchor.strength=0.1,x", "expected a finite number, got 'x'"),
        ("anchor.strength=0.1,,1", "expected a finite number, got ''"),
        ("anchor.strength=0.1,", "expected a finite number, got ''"),
        ("anchor.strength=0.1,-1", "expected at least 0, got -1.0"),
        ("anchor.coupling=elastic,plastic", "expected one of .*, got 'plastic'"),
        ("anchor.percentile=99", "anchor.percentile: expected none with ranges=mse, got 99.0; add ranges"),
    ],
)
def test_a_wrong_value_of_a_sweep_is_named(text, problem):
    with pytest.raises(UsageError, match=problem):
        of(("anchor",), text)


def test_momentum_is_a_setting_of_sgd_alone():
    texts = "recipe.momentum=0.5", "recipe.optimizer=sgd"
    assert len(of(("qat",), *texts)) == 1
    with pytest.raises(UsageError, match=r"recipe\.momentum: expected none with optimizer=adam, got 0\.5"):
        of(("qat",), "recipe.momentum=0.5", "recipe.optimizer=adam")


def test_a_method_without_settings_says_so():
    with pytest.raises(UsageError, match="unknown setting of fp 'ranges': expected none"):
        of(("fp",), "fp.ranges=mse")


def test_titles_tell_values_apart():
    settings = parse_settings(["anchor.strength=0.05,1", "recipe.lr=0.01"])
    request = Request(suites=("toy",), methods=("anchor",), bits=("3",), seeds=(0,), settings=settings)
    plan = make_plan(request)
    assert [job.title for job in plan.scored()] == [
        "tiny anchor(strength=0.05) 3 seed 0, lr=0.01", "tiny anchor(strength=1.0) 3 seed 0, lr=0.01",
    ]  # fmt: skip
