"""What is wrong with arguments whatever the command: empty ones, old names, paths and numbers that cannot be.

What an option means is checked where it is used; here is what no option can mean.
"""

import os
import re
from difflib import get_close_matches
from math import isfinite
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from flatqat.errors import UsageError, found, listed

RENAMED = {"--budget": "--recipe"}
MOST_DIGITS = 1000
LARGEST = 2**31
MOST_SHOWN = 40
WORDS = f"{__name__}.words"


class Commands(TyperGroup):
    """All commands; looks at the words of a command line before it is parsed, and lets no interrupt by."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words. Raises UsageError on empty ones and on options that have another name now."""
        for before, word in zip(["", *args], args, strict=False):
            name, equals, value = word.partition("=")
            if name in RENAMED:
                raise UsageError(f"No such option: {name}; its name is {RENAMED[name]} now")
            if not word or (re.fullmatch(r"--[\w-]+", name) and equals and not value):
                option = name if equals else before if before.startswith("-") else "argument"
                raise UsageError(f"{option}: expected a value, got an empty one; leave it out or name one")
        self._check_group(ctx, args)
        ctx.meta[WORDS] = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run a command. An error in its words gets the command's context where click gives it none.

        Raises Abort on an interrupt, which typer would make an exit without a word.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            raise typer.Abort from interrupt
        except Exception as error:
            if vars(error).get("ctx", ctx) is None:
                vars(error)["ctx"] = self._called(ctx)
            raise

    def _called(self, ctx: Any) -> Any:
        """Return a context of the command that the first words name."""
        command: Any = self
        for word in ctx.meta[WORDS]:
            if word not in getattr(command, "commands", {}):
                break
            command = command.commands[word]
            ctx = typer.Context(command, info_name=word, parent=ctx)
        return ctx

    def _check_group(self, ctx: Any, args: list[str]) -> None:
        """Raise UsageError on a command that another group has, under that name or a close one."""
        first = self.commands.get(args[0]) if args else None
        inside = isinstance(first, TyperGroup) and not hasattr(first, "default")
        if not args[inside:] or (first is not None and not inside):
            return
        word, known = args[inside], first.commands if isinstance(first, TyperGroup) else self.commands
        places = self._places(ctx)
        if word.startswith("-") or word in known or (word not in places and get_close_matches(word, known)):
            return
        if nearest := get_close_matches(word, places, n=1, cutoff=0.8):
            typed = " ".join(args[: inside + 1])
            raise UsageError(f"No such command: {typed}; did you mean {listed(places[nearest[0]])}?")

    def _places(self, ctx: Any) -> dict[str, list[str]]:
        """Return every command in words, by its last word."""
        found: dict[str, list[str]] = {}
        for name, command in self.commands.items():
            below = list(command.list_commands(ctx)) if isinstance(command, TyperGroup) else [""]
            below += [""] * hasattr(command, "default")  # which the name of its group alone calls
            for last in below:
                found.setdefault(last or name, []).append(f"flatqat {name} {last}".rstrip())
        return found


def mistake(error: Any) -> str:
    """Return in one line what typer found wrong with the words of a command, and where its help is."""
    command = getattr(getattr(error, "ctx", None), "command_path", None) or "flatqat"
    details: Any = getattr(error.__cause__ or error.__context__, "errors", list)()  # of a value, by pydantic
    got = "".join(f", got {_shown(one['input'])}" for one in details)
    return f"{error.format_message().rstrip('.')}{got}; see: {command} --help"


def _shown(value: object) -> str:
    """Return a value as it was typed, cut where it is long."""
    text = str(value)
    return repr(text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}...")


def checked(param: typer.CallbackParam, value: Any) -> Any:
    """Return the value of an option. Raises UsageError, with the option's name, on what none can mean."""
    for one in value if isinstance(value, list | tuple) else [value]:
        if problem := _problem(one):
            name = param.opts[0] if param.param_type_name == "option" else param.metavar or param.name
            raise UsageError(f"{name}: expected {problem}, got {_shown(one)}")
    return value


def input_file(param: typer.CallbackParam, value: Any) -> Any:
    """Return the paths of files to read. Raises UsageError on one that is there and no regular file."""
    checked(param, value)
    for path in value if isinstance(value, list | tuple) else [value]:
        if path is not None and os.path.exists(path) and not os.path.isfile(path):
            raise UsageError(f"{param.opts[0]}: expected a file, got {found(path)}: {path}")
    return value


def _problem(value: Any) -> str:
    """Return what was expected in place of a value, or an empty text."""
    if isinstance(value, float):
        return "" if isfinite(value) else "a finite number"
    if isinstance(value, int):
        return "" if abs(value) < LARGEST else f"a number below {LARGEST:,}"
    if "\0" in str(value):
        return "no NUL character"
    if isinstance(value, str):
        if not value.strip(" ,"):
            return "a name; leave the option out to use its default"
        return (
            f"fewer than {MOST_DIGITS:,} digits in a row" if re.search(rf"\d{{{MOST_DIGITS}}}", value) else ""
        )
    return _impossible(value) if isinstance(value, Path) else ""


def _impossible(path: Path) -> str:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        return f"a path ({error.strerror})"
    return ""
