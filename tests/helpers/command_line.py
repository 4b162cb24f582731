"""What tests of the command line share."""

import re
from functools import partial
from types import SimpleNamespace
from typing import Any

import typer
from typer.main import get_command

from flatqat.cli import app
from flatqat.console.terminal import terminal

MissingParameter: Any = next(  # click's, wherever this typer has its click
    error for error in typer.BadParameter.__subclasses__() if error.__name__ == "MissingParameter"
)


def assert_one_line_error(done: SimpleNamespace, pattern: str) -> None:
    assert done.code == 2
    assert re.search(pattern, done.err), done.err
    assert done.err.count("\n") == 1
    assert "Traceback" not in done.err


def terminal_of(width: int) -> Any:
    """What a command calls in place of `terminal` to print on a terminal of this width without colors."""
    return partial(terminal, width=width, force_terminal=True, color_system=None)


def leaves(command: Any, words: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Every command below a group, by its words: ("bench", "run"); a group's default has the group's."""
    if not hasattr(command, "commands"):
        return {words: command}
    default = getattr(command, "default", None)
    named = {name: words if name == default else (*words, name) for name in command.commands}
    below = (leaves(command.commands[name], its_words) for name, its_words in named.items())
    return {words: command for group in below for words, command in group.items()}


def parse(words: list[str]) -> None:
    """Parse a command line without running it. Raises click's UsageError for one that does not exist."""
    command = get_command(app)
    for leaf in leaves(command).values():
        leaf.callback = lambda **values: None
    command.main(words[1:], "flatqat", standalone_mode=False)
