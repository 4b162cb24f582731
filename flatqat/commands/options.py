"""How the options of commands are declared, and how their values are read."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from flatqat import registry
from flatqat.commands.arguments import checked
from flatqat.errors import UsageError

GIVEN = ("COMMANDLINE", "ENVIRONMENT")  # where a value comes from that is not a default
DEFAULT_WORKERS = min(8, os.cpu_count() or 1)

Names = list[str] | None  # given repeatedly or separated by commas; see `split`


class _OfGroup(typer.Context):
    """The context of a group's default command, which goes by the name of the group alone."""

    @property
    def command_path(self) -> str:
        """The words that call it."""
        assert self.parent is not None
        return self.parent.command_path


class WithDefault(TyperGroup):
    """A group that runs its first command where the first word names no other."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.commands[self.default].context_class = _OfGroup

    @property
    def default(self) -> str:
        """The name of the command that is left out on a command line."""
        return next(iter(self.commands))

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands that have to be named."""
        return [name for name in self.commands if name != self.default]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words, with the default command's name in front where another's is not."""
        named = not args or args[0] in (*self.list_commands(ctx), *ctx.help_option_names)
        return super().parse_args(ctx, args if named else [self.default, *args])

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help of the default command, then the names of the others."""
        command = self.commands[self.default]
        own = command.make_context(self.default, [], parent=ctx, resilient_parsing=True)
        command.format_help(own, formatter)
        self.format_commands(ctx, formatter)


def sectioned(headings: Mapping[str, str]) -> type[TyperCommand]:
    """Return the class of a command whose help lists its options in sections.

    `headings` gives the first parameter of each section its heading.
    """

    class Sectioned(TyperCommand):
        def format_options(self, ctx: Any, formatter: Any) -> None:
            heading, sections = "", dict[str, list[tuple[str, str]]]()
            for param in self.get_params(ctx):
                heading = headings.get(param.name or "", heading)
                if entry := param.get_help_record(ctx):
                    sections.setdefault(heading, []).append(entry)
            for title, entries in sections.items():
                with formatter.section(title):
                    formatter.write_dl(entries)

    return Sectioned


def group(name: str, text: str, *, cls: type[TyperGroup] = TyperGroup) -> typer.Typer:
    """Return a group of commands, which shows its help if none of them is given."""
    return typer.Typer(name=name, cls=cls, no_args_is_help=True, rich_markup_mode=None, help=text)


def option(metavar: str, text: str, *names: str, **settings: Any) -> Any:
    """Return an option that takes a value, with its help; without `names` its parameter names it."""
    return typer.Option(*names, metavar=metavar, help=text, **{"callback": checked} | settings)


def argument(metavar: str, text: str, **settings: Any) -> Any:
    """Return an argument, with its help."""
    return typer.Argument(metavar=metavar, help=text, callback=checked, **settings)


def flag(name: str, text: str) -> Any:
    """Return an option that takes no value and has no `--no-` form, with its help."""
    return typer.Option(name, help=text)


def refuse(context: typer.Context, names: Sequence[str], reason: str) -> None:
    """Raise UsageError, with the reason, if options of this command were given that would mean nothing."""
    for param in context.command.params:
        source = context.get_parameter_source(param.name or "")
        if param.name in names and source is not None and source.name in GIVEN:
            name = "/".join([*param.opts, *param.secondary_opts])
            raise UsageError(f"{name}: {reason}; leave {name} out")


def add_plugins(files: list[Path] | None) -> None:
    """Register the plugins in `files`. Raises PluginError for a file that is not one."""
    for file in files or []:
        registry.add_plugin(file)


def split(values: Names) -> tuple[str, ...]:
    """Return the names in repeated and comma-separated values; a comma between brackets is part of a name."""
    parts = [part.strip() for value in values or [] for part in re.split(r",(?![^()]*\))", value)]
    return tuple(filter(None, parts))
