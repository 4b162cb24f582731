"""The command line: each command parses its options, calls one function and prints.

PyTorch and pandas are imported inside the commands, so that `--help` and the listings are instant.
"""

import atexit
import os
import signal
import sys
import traceback
import warnings
from pathlib import Path
from typing import Annotated

import typer

from flatqat import __version__, registry
from flatqat.commands.arguments import Commands, mistake
from flatqat.commands.bench import bench
from flatqat.commands.catalog import list_all, methods, models, quantizers, recipes
from flatqat.commands.cost import cost
from flatqat.commands.diff import diff
from flatqat.commands.export import export
from flatqat.commands.gate import baseline, canary, check
from flatqat.commands.inspect import audit, flatness, gallery
from flatqat.commands.of_results import DataRoot, Plugin, SuiteName, Threads, Workers
from flatqat.commands.options import (
    DEFAULT_WORKERS,
    Names,
    add_plugins,
    argument,
    group,
    option,
    sectioned,
    split,
)
from flatqat.commands.report import bench_report
from flatqat.commands.results import results
from flatqat.commands.sensitivity import HEADINGS, sensitivity
from flatqat.console.printable import printable, printable_lines
from flatqat.console.streams import safe_streams
from flatqat.errors import FlatqatError
from flatqat.exit_codes import BUG, INTERRUPTED, MISTAKE, OK, WRONG
from flatqat.memory import lack_of_memory, out_of_memory

app = typer.Typer(
    name="flatqat",
    cls=Commands,
    help="Measure what low-bit quantization costs a vision model under distribution shift, and whether "
    "flatter minima buy it back.",
    epilog="Start with `flatqat bench run`: it needs no data and takes less than a minute on two cores.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
suites = group("suites", "List, describe and verify suites (test sets and shifts).")
for commands in (bench, results, export, suites, methods, quantizers, models, recipes):
    app.add_typer(commands)


def _version(requested: bool) -> None:
    if requested:
        typer.echo(f"flatqat {__version__}")
        raise typer.Exit


@suites.command("list")
def suites_list(plugin: Plugin = None) -> None:
    """List all suites, one line each."""
    add_plugins(plugin)
    list_all(registry.SUITES)


@suites.command("show")
def suites_show(name: SuiteName, plugin: Plugin = None) -> None:
    """Describe a suite: protocol, files, shifts and recipes.

    \b
    Examples:
      flatqat suites show cifar10-c
      flatqat suites show pacs@sketch
    """
    from flatqat.bench.plan.jobs import suite_or_family
    from flatqat.commands.describe import describe_suite

    add_plugins(plugin)
    typer.echo(describe_suite(suite_or_family(name)))


@suites.command("verify")
def suites_verify(name: SuiteName, data_root: DataRoot = None, plugin: Plugin = None) -> None:
    """Check a suite's data on disk, and explain how to fix it.

    Exits 2 if data is wrong or missing, which stops a run too. Incomplete or doubtful data (`part`) is only
    a warning, here and in a run.

    \b
    Example:
      flatqat suites verify cifar10-c --data-root data
    """
    from flatqat.bench.plan.jobs import suite_or_family

    add_plugins(plugin)
    findings = suite_or_family(name).findings(data_root)
    for finding in findings:
        fix = f"\n      {finding.fix}" if finding.fix and not finding.ok else ""
        word = "ok   " if finding.ok else "part " if finding.partial else "WRONG"
        typer.echo(printable_lines(f"{word} {finding.what}{fix}"))
    raise typer.Exit(MISTAKE if any(finding.is_fatal for finding in findings) else OK)


@suites.command("generate")
def suites_generate(
    name: Annotated[str, argument("NAME", "A suite whose corrupted images are files, such as imagenet-c.")],
    source: Annotated[Path, option("DIR", "Folder of clean images.", "--from")],
    to: Annotated[Path, option("DIR", "Output folder; an interrupted run is resumed.")],
    corruption: Annotated[Names, option("NAME", "Corruptions to apply.  [default: all 19]")] = None,
    severity: Annotated[
        list[int] | None, option("N", "Severities; may be repeated.  [default: all 5]", min=1, max=5)
    ] = None,
    threads: Threads = 1,
    workers: Workers = DEFAULT_WORKERS,
    plugin: Plugin = None,
) -> None:
    """Write a suite's corrupted images to disk, from clean ones.

    Images are stored as JPEG files of quality 85. Existing files are kept, so the same command resumes an
    interrupted run. A folder gets a file of hashes when it is complete.

    \b
    Examples:
      flatqat suites generate imagenet-c --from imagenet/val --to imagenet-c
      flatqat suites generate imagenet-c --from val --to out --corruption fog
    """
    from flatqat.commands.generate import generate_suite

    add_plugins(plugin)
    names = list(split(corruption))
    typer.echo(generate_suite(name, source, to, names, severity or [], threads, workers))


bench.command("report")(bench_report)
for command in (baseline, check, diff, canary, gallery):
    bench.command()(command)
app.command()(flatness)
app.command()(audit)
app.command()(cost)
app.command(cls=sectioned(HEADINGS))(sensitivity)


@app.command("test")
def contract(
    file: Annotated[str, argument("FILE", "Python file that exports a plugin, or file:PATH.py:FUNCTION.")],
    data_root: DataRoot = None,
) -> None:
    """Check that a plugin or a network fulfills its contract.

    Runs the checks that all built-in suites, methods, quantizers and models pass, and prints each when it is
    done; those of a method take up to half a minute. Exits 1 if one fails.

    \b
    Examples:
      flatqat test my_method.py
      flatqat test my_suite.py --data-root data
      flatqat test file:nets.py:make
    """
    import torch

    from flatqat.bench.cell.environment import prepare
    from flatqat.commands.contract import print_outcomes
    from flatqat.testing import check_plugin

    prepare(torch.device("cpu"), threads=1)  # more of them only wait for each other on networks this small
    raise typer.Exit(OK if print_outcomes(check_plugin(file, data_root)) else WRONG)


@app.command("doctor")
def doctor(data_root: DataRoot = None) -> None:
    """Show versions, devices, optional packages and datasets.

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
    """Hold the options that come before any command."""


def main() -> None:
    """Run the command line.

    A user's mistake is one line on stderr and exit code 2; a bug shows its traceback and exits with 70.
    """
    # torchvision's import, which users cannot change
    warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", FutureWarning)
    with safe_streams():
        code = _run()
        if code == INTERRUPTED:  # a second Ctrl-C only hurries: no traceback of what runs at exit
            atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
        sys.exit(code)


def _run() -> int:
    """Run the command line; returns its exit code."""
    try:
        code = app(standalone_mode=False, prog_name="flatqat")
        return code if isinstance(code, int) else OK
    except FlatqatError as error:
        typer.echo(f"error: {printable(str(error))}", err=True)
        return MISTAKE
    except (typer.Abort, KeyboardInterrupt):
        typer.echo("interrupted", err=True)
        return INTERRUPTED
    except Exception as error:
        if hasattr(error, "show") and hasattr(error, "exit_code"):  # wrong words, as typer reports them
            if type(error).__name__.startswith("NoArgsIsHelp"):
                error.show()
            else:
                typer.echo(f"error: {printable(mistake(error))}", err=True)
            return int(error.exit_code)
        if out_of_memory(error):
            hint = "end other programs, or choose a smaller model or another --device"
            typer.echo(f"error: {printable(lack_of_memory(error))}; {hint}", err=True)
            return MISTAKE
        if isinstance(error, FileNotFoundError) and not _has_working_directory():
            typer.echo(
                "error: expected a working directory, got one that was removed; cd to another", err=True
            )
            return MISTAKE
        traceback.print_exc()  # a bug, which must not look like the gate's exit code 1
        return BUG


def _has_working_directory() -> bool:
    try:
        os.getcwd()
    except OSError:
        return False
    return True
