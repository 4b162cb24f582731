"""`flatqat methods`, `quantizers`, `models` and `recipes`: what there is to choose from."""

import textwrap
from typing import Annotated

import typer

from flatqat import registry
from flatqat.commands.completion import names_of
from flatqat.commands.of_results import Plugin
from flatqat.commands.options import add_plugins, argument, group, option
from flatqat.console.printable import printable
from flatqat.console.terminal import terminal

methods = group("methods", "List and describe training methods.")
quantizers = group("quantizers", "List and describe quantizers.")
models = group("models", "List models.")
recipes = group("recipes", "List and describe recipes: how a suite trains.")

MethodName = Annotated[
    str, argument("NAME", "A method, see `methods list`.", autocompletion=names_of(registry.METHODS))
]
QuantizerName = Annotated[
    str, argument("NAME", "A quantizer, see `quantizers list`.", autocompletion=names_of(registry.QUANTIZERS))
]
RecipeName = Annotated[str, argument("NAME", "A recipe of the suite, see `recipes list`.")]
OfSuite = Annotated[
    str,
    option("NAME", "The suite that the recipe is of.", "--suite", autocompletion=names_of(registry.SUITES)),
]


def list_all(kind: registry.Kind) -> None:
    """Print every name of a kind of plugin with its first line, which is wrapped on a terminal alone."""
    rows, console = list(registry.summaries(kind)), terminal()
    indent = 2 + max(len(name) for name, _ in rows)
    for name, summary in rows:
        line = f"{name:<{indent}}{summary}"
        lines = textwrap.wrap(line, console.width, subsequent_indent=" " * indent)
        typer.echo("\n".join(lines) if console.is_terminal and console.width > 2 * indent else line)


@methods.command("list")
def methods_list(plugin: Plugin = None) -> None:
    """List all methods, one line each."""
    add_plugins(plugin)
    list_all(registry.METHODS)


@quantizers.command("list")
def quantizers_list(plugin: Plugin = None) -> None:
    """List all quantizers, one line each."""
    add_plugins(plugin)
    list_all(registry.QUANTIZERS)


@methods.command("show")
def methods_show(name: MethodName, plugin: Plugin = None) -> None:
    """Describe a method: what it does, its settings and their ranges.

    \b
    Examples:
      flatqat methods show anchor
      flatqat methods show mine --plugin mine.py
    """
    from flatqat.commands.describe_plugins import describe_method

    add_plugins(plugin)
    typer.echo(describe_method(name))


@quantizers.command("show")
def quantizers_show(name: QuantizerName, plugin: Plugin = None) -> None:
    """Describe a quantizer: its grid, and what it learns.

    \b
    Example:
      flatqat quantizers show lsq
    """
    from flatqat.commands.describe_plugins import describe_quantizer

    add_plugins(plugin)
    typer.echo(describe_quantizer(name))


@recipes.command("list")
def recipes_list(plugin: Plugin = None) -> None:
    """List the recipes of every suite, its default one first."""
    add_plugins(plugin)
    suites = {name: registry.load(registry.SUITES, name) for name in registry.names(registry.SUITES)}
    width = max(map(len, suites))
    for name, suite in suites.items():
        typer.echo(f"{name:<{width}}  {', '.join(suite.recipes)}")


@recipes.command("show")
def recipes_show(name: RecipeName, suite: OfSuite = "digits-c", plugin: Plugin = None) -> None:
    """Describe a recipe: every value, what it means, and how to change it.

    \b
    Examples:
      flatqat recipes show default
      flatqat recipes show smoke --suite pacs
    """
    from flatqat.bench.plan.jobs import suite_or_family
    from flatqat.commands.describe_plugins import describe_recipe

    add_plugins(plugin)
    typer.echo(describe_recipe(name, suite_or_family(suite)))


@models.command("list")
def models_list(
    pattern: Annotated[
        str | None, argument("PATTERN", "Pattern of full names, such as 'timm:resnet*'.")
    ] = None,
    plugin: Plugin = None,
) -> None:
    """List model sources, or the models that match a pattern.

    A source whose library is missing, or does not import, is left out with the reason.

    \b
    Examples:
      flatqat models list
      flatqat models list 'torchvision:mobilenet*'
    """
    add_plugins(plugin)
    if pattern is None:
        list_all(registry.MODELS)
    else:
        from flatqat.commands.describe import matching_models

        found, left_out = matching_models(pattern)
        typer.echo("\n".join(found))
        for line in left_out:
            typer.echo(printable(line), err=True)
