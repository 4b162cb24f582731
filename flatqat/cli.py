"""The command line. Each command parses, calls one function and prints; torch and pandas load inside."""

import io
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from flatqat import __version__, registry
from flatqat.commands.bench import (
    DEFAULT_WORKERS,
    DataRoot,
    Plugin,
    Threads,
    Workers,
    add_plugins,
    bench,
    split,
)
from flatqat.commands.gate import baseline, canary, check
from flatqat.commands.inspect import audit, flatness, gallery
from flatqat.commands.results import results
from flatqat.errors import FlatqatError
from flatqat.suite import Suite

BUG = 70  # EX_SOFTWARE

app = typer.Typer(
    name="flatqat",
    help="What low-bit quantization costs a vision model away from its training distribution, "
    "and whether a flatter minimum buys it back.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
suites, methods, quantizers, models = (
    typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=text)
    for text in (
        "Test sets: an in-distribution set and its shifts.",
        "Training rules.",
        "Quantization grids.",
        "Networks.",
    )
)
for name, group in {
    "bench": bench,
    "results": results,
    "suites": suites,
    "methods": methods,
    "quantizers": quantizers,
    "models": models,
}.items():
    app.add_typer(group, name=name)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"flatqat {__version__}")
        raise typer.Exit


@suites.command("list")
def suites_list() -> None:
    """Every suite with one line about it."""
    _list(registry.SUITES)


@suites.command("show")
def suites_show(name: Annotated[str, typer.Argument(help="A suite.")], plugin: Plugin = None) -> None:
    """Protocol, layout on disk, shifts and recipes of a suite.

    \b
    Example:
      flatqat suites show cifar10-c
    """
    from flatqat.commands.describe import describe_suite

    add_plugins(plugin)
    typer.echo(describe_suite(_suite(name)))


@suites.command("verify")
def suites_verify(
    name: Annotated[str, typer.Argument(help="A suite.")], data_root: DataRoot = None, plugin: Plugin = None
) -> None:
    """Look at the data on disk: what is there, what is missing or wrong, and how to mend it.

    Exit code 2 when something is wrong, or there only in part.

    \b
    Example:
      flatqat suites verify cifar10-c --data-root data
    """
    add_plugins(plugin)
    findings = _suite(name).verify(data_root)
    for finding in findings:
        mend = f"\n      {finding.fix}" if finding.fix and not finding.ok else ""
        word = "ok   " if finding.ok else "part " if finding.partial else "WRONG"
        typer.echo(f"{word} {finding.what}{mend}")
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 2)


@suites.command("generate")
def suites_generate(
    name: Annotated[str, typer.Argument(help="A suite of corruptions that is read from disk.")],
    source: Annotated[Path, typer.Option("--from", metavar="DIR", help="Folder of the clean images.")],
    to: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write; may be there in part.")],
    corruption: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Corruptions.  [default: all 19]")
    ] = None,
    severity: Annotated[
        list[int] | None, typer.Option(min=1, max=5, metavar="N", help="Severities.  [default: all 5]")
    ] = None,
    threads: Threads = 1,
    workers: Workers = DEFAULT_WORKERS,
) -> None:
    """Make a suite's corrupted images from clean ones, once and on disk: JPEG files of quality 85.

    Files that are there are kept, so the same command goes on after an interruption. Hashes of each folder
    are written when it is complete.

    \b
    Examples:
      flatqat suites generate imagenet-c --from imagenet/val --to imagenet-c
      flatqat suites generate imagenet-c --from imagenet/val --to imagenet-c --corruption fog --severity 3
    """
    from flatqat.commands.generate import generate_suite

    names = split(corruption)
    typer.echo(generate_suite(name, source, to, names, tuple(severity or ()), threads, workers))


@methods.command("list")
def methods_list() -> None:
    """Every training rule with one line about it."""
    _list(registry.METHODS)


@quantizers.command("list")
def quantizers_list() -> None:
    """Every quantizer with one line about it."""
    _list(registry.QUANTIZERS)


@models.command("list")
def models_list(
    pattern: Annotated[
        str | None, typer.Argument(help="A pattern of full names, such as 'timm:resnet*'.")
    ] = None,
) -> None:
    """Sources of models or, with a pattern, the names that match it.

    \b
    Examples:
      flatqat models list
      flatqat models list 'torchvision:mobilenet*'
    """
    if pattern is None:
        return _list(registry.MODELS)
    from flatqat.commands.describe import matching_models

    for name in matching_models(pattern):
        typer.echo(name)
    return None


bench.command("baseline")(baseline)
bench.command("check")(check)
bench.command("canary")(canary)
bench.command("gallery")(gallery)
app.command("flatness")(flatness)
app.command("audit")(audit)


@app.command("test")
def test(file: Annotated[Path, typer.Argument(help="A plugin file.")]) -> None:
    """Run on your plugin the contract checks that the built-in ones pass. Exit code 1 when one fails.

    \b
    Example:
      flatqat test my_method.py
    """
    from flatqat.testing import check_plugin

    outcomes = list(check_plugin(file))
    for name, problem in outcomes:
        typer.echo(f"{'FAILED' if problem else 'passed'} {name}{': ' + problem if problem else ''}")
    raise typer.Exit(1 if any(problem for _, problem in outcomes) else 0)


@app.command("doctor")
def doctor(data_root: DataRoot = None) -> None:
    """Versions, devices, what is optional and absent, and which suites have their data.

    \b
    Example:
      flatqat doctor --data-root data
    """
    from flatqat.commands.describe import diagnosis

    for line in diagnosis(data_root):
        typer.echo(line)


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options of flatqat itself."""


def main() -> None:
    """Run the app; a user's mistake is one line on stderr and exit code 2, a bug a traceback and 70."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a locale without λ and ± shows them as ?
            stream.reconfigure(errors="replace")
    try:
        app()
    except FlatqatError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
    except Exception:  # a bug: not to be taken for the gate's exit code 1
        traceback.print_exc()
        sys.exit(BUG)


def _suite(name: str) -> Suite:
    """A suite, a family, or one member of it: `pacs@sketch`."""
    from flatqat.bench.plan.jobs import members

    return members(name, 0)[0] if "@" in name else registry.load(registry.SUITES, name)


def _list(kind: registry.Kind) -> None:
    rows = list(registry.summaries(kind))
    width = max(len(name) for name, _ in rows)
    for name, summary in rows:
        typer.echo(f"{name:<{width}}  {summary}")
