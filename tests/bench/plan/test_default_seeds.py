"""Without `--seeds`: three seeds where something is trained, one where every seed is the same network."""

from collections import defaultdict
from dataclasses import replace

import pytest
from safetensors.torch import save_file
from typer.testing import CliRunner

from flatqat import registry
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.plan.settings import parse_settings
from flatqat.cli import app
from flatqat.commands import execute
from flatqat.models.base import build
from tests.helpers.plugins import registered

EVAL = {"recipe": "eval"}
NO_STEPS = {"settings": parse_settings(["recipe.steps=0"])}


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """Weights of `tiny` for the toy suite, here with a recipe without steps, and a twin that cannot train."""
    toy = registry.load(registry.SUITES, "toy")
    still = replace(toy.recipes["default"], pretrain_steps=0, steps=0)
    toy = replace(toy, recipes={**toy.recipes, "eval": still})
    frozen = replace(toy, name="frozen", untrainable_reason=lambda root: "no training images")
    save_file(build("tiny", classes=4, seed=5).net.state_dict(), tmp_path / "tiny.safetensors")
    monkeypatch.chdir(tmp_path)
    with registered(registry.SUITES, "toy", toy), registered(registry.SUITES, "frozen", frozen):
        yield tmp_path / "tiny.safetensors"


def seeds(**changes) -> dict[tuple[str, str], list[int]]:
    """The planned seeds of each suite and method, also of those that only others start from."""
    found = defaultdict(list)
    request = Request(**({"suites": ("toy",), "methods": ("fp", "ptq"), "bits": ("4",)} | changes))
    for job in make_plan(request).jobs:
        found[job.cell.suite, job.cell.method].append(job.cell.seed)
    return dict(found)


def test_three_where_something_is_trained(weights):
    three = [0, 1, 2]
    assert seeds()["toy", "ptq"] == three
    assert seeds(methods=("ptq",))["toy", "ptq"] == three  # its parent is trained
    assert seeds(methods=("ptq",), weights=weights) == {("toy", "fp"): three, ("toy", "ptq"): three}
    assert seeds(**NO_STEPS)["toy", "fp"] == three  # pretrained


def test_one_where_nothing_is(weights):
    one = {("toy", "fp"): [0], ("toy", "ptq"): [0]}
    assert seeds(weights=weights, **EVAL) == one
    assert seeds(weights=weights, **NO_STEPS) == one
    skipped = seeds(weights=weights, methods=("fp", "ptq", "qat"), **EVAL)
    assert skipped == one | {("toy", "qat"): [0]}


def test_each_suite_decides_for_itself(weights):
    found = seeds(suites=("frozen", "toy"), methods=("fp",), weights=weights)
    assert found == {("frozen", "fp"): [0], ("toy", "fp"): [0, 1, 2]}


def test_one_trained_method_repeats_those_it_is_compared_with(weights):
    found = seeds(weights=weights, settings=parse_settings(["recipe.steps=0,5"]), methods=("fp",))
    assert found == {("toy", "fp"): [0, 0, 1, 1, 2, 2]}


def test_asked_for_seeds_stay(weights):
    assert seeds(weights=weights, seeds=(1, 4), **EVAL)["toy", "fp"] == [1, 4]
    assert seeds(seeds=(7,))["toy", "fp"] == [7]


@pytest.mark.parametrize(
    ("options", "cells"),
    [([], 6), (["--seeds", "2"], 4), (["--recipe", "eval"], 2), (["--recipe", "eval", "--seeds", "3"], 6)],
)
def test_the_command_line(weights, options, cells):
    words = ["--suite", "toy", "--method", "fp,ptq", "--weights", str(weights), *options]
    done = CliRunner().invoke(app, ["bench", "run", *words, "--dry-run"])
    assert done.exit_code == 0, done.output
    assert done.output.count("to run") == cells


def test_published_figures_take_one(monkeypatch):
    asked = []
    monkeypatch.setattr(execute, "check_figures", lambda models, request: asked.append(request) or 0)
    assert CliRunner().invoke(app, ["bench", "canary"]).exit_code == 0
    assert asked[0].seeds == (0,)
