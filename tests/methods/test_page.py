"""The pages on methods: every built-in method has its row, and the guide names what there is."""

import re
from dataclasses import fields

import pytest
from torch import nn

from flatqat import Method, Recipe, Setup, registry
from tests.helpers import ROOT

SHARED = ("ranges", "percentile")  # below the table
PAGE = ROOT / "docs" / "methods.md"
GUIDE = ROOT / "docs" / "adding-a-method.md"


def rows() -> dict[str, list[str]]:
    """The cells after the name of each method."""
    lines = re.findall(r"^\| `([\w-]+)` \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: [cell.strip() for cell in re.split(r"(?<!\\)\|", rest)] for name, rest in lines}


def test_every_built_in_method_has_a_row():
    assert set(rows()) == set(registry._built_in(registry.METHODS))


@pytest.mark.parametrize("name", rows())
def test_a_row_has_the_passes_and_the_defaults_of_the_code(name):
    _, _, defaults, passes, _ = rows()[name]
    method = registry.load(registry.METHODS, name)
    config = method.Config()
    values = {field.name: getattr(config, field.name) for field in fields(config) if field.name not in SHARED}
    shown = [
        f"{key}={str(v).lower() if v is None or v is True or v is False else v}" for key, v in values.items()
    ]
    assert defaults == ", ".join(shown)
    usual, *others = passes.split("; ")
    assert int(usual) == method.passes_with(config)
    for count, setting, choice in (
        re.fullmatch(r"(\d+) with (\w+)=(\w+)", other).groups() for other in others
    ):
        assert int(count) == method.passes_with(method.Config(**{setting: choice}))
    assert bool(others) == ("passes_with" in vars(method))


def names_in_table(head: str) -> list[str]:
    """The names in the first column of the table of the guide that begins with this line."""
    table = GUIDE.read_text(encoding="utf-8").partition(f"{head}\n")[2].partition("\n\n")[0]
    return [name for row in table.splitlines()[1:] for name in re.findall(r"`(\w+)`", row.split("|")[1])]


def test_the_guide_has_every_class_attribute_with_its_default():
    attributes = {name for name, kind in Method.__annotations__.items() if "ClassVar" in str(kind)}
    assert set(names_in_table("| attribute | default | meaning |")) == attributes - {"Config"}
    for name in attributes - {"Config"}:
        value = str(getattr(Method, name)).replace("pretrain", '"pretrain"')
        assert re.search(rf"^\| `{name}` \| `?{value}`? \|", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)


def test_what_the_guide_says_that_a_method_has_is_there():
    method = Method(
        Setup(
            model=nn.Linear(2, 2), loss=nn.functional.cross_entropy, recipe=Recipe(pretrain_steps=1, steps=1)
        )
    )
    names = names_in_table("| attribute | what it is |")
    assert len(names) >= 8
    assert all(hasattr(method, name) for name in names)
