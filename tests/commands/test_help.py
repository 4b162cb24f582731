"""Help reads well on a terminal of 80 columns, and its examples exist."""

import re
import shlex

import pytest
from typer.main import get_command

from flatqat.cli import app
from tests.helpers.command_line import leaves, parse

COMMANDS = leaves(get_command(app))
GROUPS = [(), *dict.fromkeys(words[:1] for words in COMMANDS if len(words) > 1)]
BARE = {
    ("suites", "list"),
    ("methods", "list"),
    ("quantizers", "list"),
    ("recipes", "list"),
}  # nothing to show by example


def examples(text: str) -> list[list[str]]:
    return [shlex.split(line) for line in re.findall(r"^ +(flatqat .*)$", text, re.MULTILINE)]


@pytest.mark.parametrize("words", [*GROUPS, *COMMANDS], ids=" ".join)
def test_help_fits_80_columns(flatqat, monkeypatch, words):
    monkeypatch.setenv("COLUMNS", "80")
    text = flatqat(*words, "--help").out
    assert text
    assert "\\b" not in text, "a mark of lines to keep is no text"
    assert not [line for line in text.splitlines() if len(line) > 80]
    assert not [line for line in text.splitlines() if line.endswith("...") and "Usage" not in line], "cut off"


@pytest.mark.parametrize(
    ("words", "headings"),
    [
        (("bench", "run"), ["Cells", "Measurements", "Files and output", "Computing"]),
        (("sensitivity",), ["Arguments", "Measurements", "Proposed bits", "Files and output", "Computing"]),
    ],
)
def test_long_help_has_sections_with_every_option_once(flatqat, words, headings):
    text = flatqat(*words, "--help").out
    assert re.findall(r"^([A-Z][\w ]+):$", text, re.MULTILINE) == headings
    named = re.findall(r"^  (--[\w-]+)", text, re.MULTILINE)
    options = [param.opts[0] for param in COMMANDS[words].params if param.param_type_name == "option"]
    assert sorted(named) == sorted(options)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(words):
    """A sentence, a text for every option, and examples that parse."""
    command = COMMANDS[words]
    summary = command.help.partition("\n")[0]
    assert summary.endswith(".")
    assert not [option.name for option in command.params if not option.help]
    shown = examples(command.help)
    assert bool(shown) != (words in BARE)
    for example in shown:
        assert tuple(example[1 : 1 + len(words)]) == words
        parse(example)


@pytest.mark.parametrize("words", [w for w in COMMANDS if "cell" in (p.name for p in COMMANDS[w].params)])
def test_an_example_names_a_single_cell_of_three_seeds(words):
    """The default makes three seeds of each method, of which the label of one ends in `-s0`."""
    first = len(words) + 1
    for example in examples(COMMANDS[words].help):
        assert example[first].endswith("-s0"), " ".join(example)


@pytest.mark.parametrize(
    "line", ["flatqat bench rum", "flatqat bench run --budget smoke", "flatqat audit", "flatqat bench run 3"]
)
def test_a_command_line_that_does_not_exist_is_found(line):
    with pytest.raises(
        Exception, match=r"No such (command|option)|Missing parameter|unexpected extra argument"
    ):
        parse(line.split())
