"""docs/methods.md: every built-in method has its row, with the passes and the defaults of its code."""

import re
from dataclasses import fields

import pytest

from flatqat import registry
from tests.helpers import ROOT

SHARED = ("ranges", "percentile")  # below the table
PAGE = ROOT / "docs" / "methods.md"


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
    assert int(passes) == method.passes
