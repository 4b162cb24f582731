"""Descriptions of plugins are made from the plugins themselves, and shells complete their names."""

import inspect
import os
import re
import subprocess
import sys
from dataclasses import fields

import pytest

from flatqat import registry
from flatqat.spec import Recipe
from flatqat.spec.json_schema import attributes_of
from tests.helpers import RESULTS, ROOT, TOY


@pytest.mark.parametrize("name", registry.names(registry.METHODS))
def test_a_method_shows_every_setting_with_its_default(flatqat, name):
    text, method = flatqat("methods", "show", name).out, registry.load(registry.METHODS, name)
    for field in fields(method.Config):
        is_word = field.default is None or isinstance(field.default, bool)
        default = str(field.default).lower() if is_word else field.default
        assert f"{name}.{field.name}={default}" in text
    assert (method.parent or "random weights") in text
    assert inspect.cleandoc(sys.modules[method.__module__].__doc__) in text


def test_choices_and_ranges_are_those_that_a_run_accepts(flatqat):
    text = flatqat("methods", "show", "anchor").out
    assert "anchor.coupling=ema   (ema, elastic, dampen, dual)" in text
    assert "anchor.beta=0.02   (0 to 1, or none)" in text
    assert "anchor.strength=0.1   (at least 0)\n" in text
    assert "sam.scales=false   (true, false)" in flatqat("methods", "show", "sam").out
    assert "W_a ← (1 − β) W_a + β Q(W)" in text, "its equations"
    error = flatqat("bench", "run", "--set", "anchor.beta=2", "--dry-run").err
    assert "expected 0 to 1, got 2" in error


BY_A_NUMBER = """
from dataclasses import dataclass
from flatqat.methods.qat import QAT

@dataclass(frozen=True, slots=True, kw_only=True)
class Config(QAT.Config):
    ascents: int = 1

class Climbing(QAT):
    Config = Config

    @classmethod
    def passes_with(cls, config):
        return 1 + config.ascents

METHOD = Climbing
"""


def test_passes_that_depend_on_settings_are_not_said_of_all(flatqat, tmp_path):
    def compute(*words: str) -> str:
        lines = flatqat("methods", "show", *words).out.splitlines()
        return next(line.removeprefix("compute   ") for line in lines if line.startswith("compute "))

    each = "forward and backward pass"
    assert compute("anchor") == f"1 {each} a step at the defaults, 2 with coupling=dual"
    assert compute("sam") == f"2 {each}es a step"
    assert compute("ptq") == "no training step is needed"
    (tmp_path / "climbing.py").write_text(BY_A_NUMBER)
    told = compute("climbing", "--plugin", str(tmp_path / "climbing.py"))
    assert told == f"2 {each}es a step at the defaults; settings change that"


@pytest.mark.parametrize("name", registry.names(registry.QUANTIZERS))
def test_a_quantizer_shows_how_it_is_used(flatqat, name):
    text = flatqat("quantizers", "show", name).out
    assert f"--bits 4@{name}" in text
    assert len(text.splitlines()) > 7, "with what its file says"


def test_a_recipe_explains_every_value(flatqat):
    meanings = attributes_of(Recipe)
    assert set(meanings) == {field.name for field in fields(Recipe)}
    text = flatqat("recipes", "show", "smoke", "--suite", "pacs").out
    recipe = registry.load(registry.SUITES, "pacs").recipes["smoke"]
    for field in fields(Recipe):
        (line,) = [line for line in text.splitlines() if line.startswith(f"{field.name} ")]
        assert line.split()[1] == str(getattr(recipe, field.name))
        assert line.split()[2] == meanings[field.name].split()[0]
    assert all(len(line) <= 80 for line in text.splitlines())


@pytest.mark.parametrize("suite", ["digits-c", "pacs", "pacs@sketch"])
def test_the_commands_that_a_suite_names_show_its_recipes(flatqat, suite):
    named = re.findall("all values: flatqat (.*)", flatqat("suites", "show", suite).out)
    assert named
    for command in named:
        shown = flatqat(*command.split())
        assert (shown.code, shown.err) == (0, "")
        assert f" --suite {suite}" in command


def test_all_suites_list_their_recipes(flatqat):
    listed = dict(line.split(maxsplit=1) for line in flatqat("recipes", "list").out.splitlines())
    assert set(listed) == set(registry.names(registry.SUITES))
    assert listed["imagenet-c"] == "default, smoke, eval"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("methods", "show", "ankor"), "anchor"),
        (("quantizers", "show", "lsd"), "lsq"),
        (("recipes", "show", "huge"), "default, smoke"),
        (("recipes", "show", "smoke", "--suite", "pax"), "pacs"),
        (("suites", "show", "pacs@"), "expected one of art_painting, cartoon, photo, sketch"),
        (("bench", "run", "--suite", "pacs@", "--dry-run"), "expected one of art_painting, cartoon, photo"),
        (("suites", "show", "digits-c@"), "expected no target after it, got ''"),
    ],
)
def test_unknown_names_are_told_with_the_choices(flatqat, words, named):
    ended = flatqat(*words)
    assert ended.code == 2
    assert named in ended.err
    assert len(ended.err.splitlines()) == 1


def test_suites_and_models_of_plugins_are_listed(flatqat, tmp_path):
    model = tmp_path / "mine.py"
    model.write_text('"""My own net."""\nfrom flatqat.models.tiny import MODEL\n')
    assert re.search(r"^mine +My own net\.$", flatqat("models", "list", "--plugin", model).out, re.MULTILINE)
    assert re.search(r"^toy +\w", flatqat("suites", "list", "--plugin", TOY).out, re.MULTILINE)


def test_plugins_are_described_like_all_others(flatqat, tmp_path):
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        '"""My own rule."""\nfrom flatqat import Method\n\n\n'
        "class Mine(Method):\n    version = 7\n\n\nMETHOD = Mine\n"
    )
    assert re.search(
        r"^mine +My own rule\.$", flatqat("methods", "list", "--plugin", plugin).out, re.MULTILINE
    )
    text = flatqat("methods", "show", "mine", "--plugin", plugin).out
    assert text.startswith("mine version 7\n")
    assert text.endswith("\n\nMy own rule.\n")


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("flatqat be", {"bench"}),
        ("flatqat bench run --method fp,anch", {"fp,anchor"}),
        ("flatqat bench run --suite cifar100-c-", {"cifar100-c-live"}),
        ("flatqat methods show anc", {"anchor"}),
        (f"flatqat audit --results {RESULTS / 'first-look'} tiny-fp-s0", None),
    ],
)
def test_a_shell_completes_commands_names_and_cells(line, offered):
    words = line.split()
    command = [
        sys.executable,
        "-c",
        "from flatqat.cli import main; import sys; sys.argv[0] = 'flatqat'; main()",
    ]
    asked = {"_FLATQAT_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    ended = subprocess.run(
        command, env={**os.environ, **asked}, cwd=ROOT, capture_output=True, text=True, check=True
    )
    found = set(ended.stdout.split())
    assert found == offered if offered else all(label.startswith(words[-1]) for label in found) and found
