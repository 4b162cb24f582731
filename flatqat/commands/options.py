"""How the options of commands are declared, and how their values are read."""

import os
from pathlib import Path
from typing import Any

import typer

from flatqat import registry
from flatqat.commands.arguments import checked

DEFAULT_WORKERS = min(8, os.cpu_count() or 1)

Names = list[str] | None  # given repeatedly or separated by commas; see `split`


def group(name: str, text: str) -> typer.Typer:
    """Return a group of commands, which shows its help if none of them is given."""
    return typer.Typer(name=name, no_args_is_help=True, rich_markup_mode=None, help=text)


def option(metavar: str, text: str, *names: str, **settings: Any) -> Any:
    """Return an option that takes a value, with its help; without `names` its parameter names it."""
    return typer.Option(*names, metavar=metavar, help=text, **{"callback": checked} | settings)


def argument(metavar: str, text: str) -> Any:
    """Return an argument, with its help."""
    return typer.Argument(metavar=metavar, help=text, callback=checked)


def flag(name: str, text: str) -> Any:
    """Return an option that takes no value and has no `--no-` form, with its help."""
    return typer.Option(name, help=text)


def add_plugins(files: list[Path] | None) -> None:
    """Register the plugins in `files`. Raises PluginError for a file that is not one."""
    for file in files or []:
        registry.add_plugin(file)


def split(values: Names) -> tuple[str, ...]:
    """Return the names in repeated and comma-separated values."""
    return tuple(part.strip() for value in values or [] for part in value.split(",") if part.strip())
