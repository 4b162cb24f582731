"""A plugin with one import from `flatqat`, and how `flatqat test` reports what is wrong with it."""

import re
from pathlib import Path

import pytest

from flatqat.testing import check_plugin
from tests.helpers.slow import slow

CLIPPED = '''\
"""QAT with the gradient clipped to a norm."""
from dataclasses import dataclass
from typing import Annotated
from torch.nn.utils import clip_grad_norm_
from flatqat import AtLeast, Calibration, Method
@dataclass(frozen=True, kw_only=True)
class Config(Calibration):
    norm: Annotated[float, AtLeast(0)] = 1.0
class Clipped(Method):
    Config = Config
    def gradient(self, x, y):
        logs = super().gradient(x, y)
        clip_grad_norm_(self.model.parameters(), self.config.norm)
        return logs
METHOD = Clipped
'''


def problems(file: Path, text: str) -> dict[str, str]:
    """Each check that fails on a plugin of this text, with its problem."""
    file.write_text(text)
    return {check: problem for check, problem in check_plugin(file) if problem}


def test_fifteen_lines_with_one_import_from_flatqat_are_a_method(tmp_path):
    assert len(CLIPPED.splitlines()) == 15
    assert CLIPPED.count("flatqat") == 1
    assert not problems(tmp_path / "clipped.py", CLIPPED)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("self.config.norm)", "self.norm)"),  # no such attribute
        ("self.model.parameters(), self", "[1], self"),  # torch raises the error, the plugin causes it
    ],
)
def test_an_error_is_reported_with_the_line_of_the_plugin(tmp_path, right, wrong):
    file, text = tmp_path / "wrong.py", CLIPPED.replace(right, wrong)
    line = text[: text.index("  clip_grad_norm_(")].count("\n") + 1
    found = problems(file, text)
    assert len(found) >= 8
    for problem in found.values():
        assert problem.startswith("raised AttributeError(")
        assert problem.endswith(f"({file}:{line} in gradient)")


def test_a_check_that_fails_is_reported_with_the_lines_of_the_class_and_of_the_check(tmp_path):
    noisy = "super().gradient(x + __import__('torch').rand(()), y)"
    found = problems(tmp_path / "noisy.py", CLIPPED.replace("super().gradient(x, y)", noisy))
    (problem,) = (problem for check, problem in found.items() if "own generator" in check)
    place = re.search(r"checked by (\S+/flatqat/testing/methods\.py):(\d+) in (\w+)\)$", problem)
    assert place
    line = CLIPPED[: CLIPPED.index("class Clipped")].count("\n") + 1
    assert f"({tmp_path / 'noisy.py'}:{line} in Clipped, checked by" in problem
    assert place[3] == "method_leaves_the_global_generator"
    assert "get_rng_state()" in Path(place[1]).read_text().splitlines()[int(place[2]) - 1]


@pytest.mark.parametrize(
    ("wrong", "got"),
    [
        ("return logs['loss']", "a Tensor"),
        ("return None", "None"),
        ("return {}", "one with nothing"),
        ("return {'gap': logs['loss'], 'rise': 0}", "one with gap, rise"),
        ("return {'loss': logs['loss'].item()}", "a scalar tensor, got a float"),
        ("return {'loss': logs['loss'].repeat(3)}", r"a scalar tensor, got one of shape \(3,\)"),
    ],
)
def test_a_gradient_that_returns_something_else_is_reported(tmp_path, wrong, got):
    found = problems(tmp_path / "wrong.py", CLIPPED.replace("return logs", wrong))
    assert len(found) >= 8
    for problem in found.values():
        assert re.match(rf"expected `gradient` and `step` to return a dict with `loss`,.* {got} \(", problem)


BARE = "class Config:\n    ranges: str = 'mse'\n    percentile: float = 99.9"


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("class Config(Calibration):", BARE),
        *slow(("AtLeast(0)] = 1.0", "AtLeast(0)] = 1.0\n    def __post_init__(self): pass")),
    ],
)
def test_a_range_that_is_not_enforced_is_reported(tmp_path, right, wrong):
    (problem,) = problems(tmp_path / "unchecked.py", CLIPPED.replace(right, wrong)).values()
    assert "is not checked" in problem
