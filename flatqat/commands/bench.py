"""`flatqat bench run` and `report`, and the options that other commands share with them."""

import os
from pathlib import Path
from typing import Annotated

import typer

from flatqat import registry
from flatqat.errors import UsageError

DEFAULT_SUITES, DEFAULT_METHODS, DEFAULT_BITS = ("digits-c",), ("fp", "qat", "anchor"), ("4",)
DEFAULT_AGAINST = "qat"
DEFAULT_WORKERS = min(8, os.cpu_count() or 1)

bench = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Run the benchmark, report on it, gate CI on it."
)

Results = Annotated[Path, typer.Option(metavar="DIR", help="Folder of records, outcomes and weights.")]
DataRoot = Annotated[
    Path | None, typer.Option(metavar="DIR", envvar="FLATQAT_DATA_ROOT", help="Folder of the data sets.")
]
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda or cuda:INDEX.")]
Threads = Annotated[
    int, typer.Option(min=1, metavar="N", help="CPU threads. Raise it on an idle machine only.")
]
Workers = Annotated[
    int, typer.Option(min=0, metavar="N", help="Threads that decode images ahead; 0: decode in between.")
]
Plugin = Annotated[
    list[Path] | None, typer.Option(metavar="FILE", help="A Python file with a plugin; may be repeated.")
]
SuiteFilter = Annotated[str | None, typer.Option("--suite", metavar="NAME", help="Only this suite.")]
CellName = Annotated[str, typer.Argument(help="The beginning of a stored cell's id or label.")]


@bench.command("run")
def bench_run(
    suite: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Suites.  [default: digits-c]")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Models.  [default: the suite's]")
    ] = None,
    method: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Methods.  [default: fp,qat,anchor]")
    ] = None,
    bits: Annotated[
        list[str] | None, typer.Option(metavar="BITS", help="4, w4a8, w4a32@lsq or fp.  [default: 4]")
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(metavar="LAYERS", help="Held at 8 bits: names, patterns, none.  [default: first,last]"),
    ] = None,
    layer_bits: Annotated[
        list[str] | None, typer.Option(metavar="LAYERS=BITS", help="Bits of their own: layer4.*=w2a4")
    ] = None,
    seeds: Annotated[str, typer.Option(metavar="SEEDS", help="How many (3), or which (0,1,2 or 7,).")] = "1",
    recipe: Annotated[
        str | None, typer.Option(metavar="NAME", help="Length of training: see `suites show`.")
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting: anchor.strength=0.1, recipe.lr=0.01"),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Start from this file, not from pretraining.")
    ] = None,
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="Start from the model source's own weights; may download.")
    ] = False,
    data_root: DataRoot = None,
    results: Results = Path("results"),
    device: Device = "auto",
    amp: Annotated[bool, typer.Option("--amp", help="Forward passes in bfloat16.")] = False,
    threads: Threads = 1,
    workers: Workers = DEFAULT_WORKERS,
    limit: Annotated[
        int | None, typer.Option(min=2, metavar="N", help="Score at most N images a shift.")
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Segment through a window, 512[:STRIDE], or whole.  [default: the model's]",
        ),
    ] = None,
    compute_matched: Annotated[
        bool,
        typer.Option("--compute-matched", help="Rules of one pass a step get twice the steps; fp does not."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print cells, data and time; do nothing.")
    ] = False,
    flatness: Annotated[bool, typer.Option(help="Measure flatness too.")] = True,
    space: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAMES", help="Of flatness: quantized, latent, step_size.  [default: quantized]"
        ),
    ] = None,
    rerun: Annotated[bool, typer.Option("--rerun", help="Compute stored cells again.")] = False,
    plugin: Plugin = None,
) -> None:
    """Train, evaluate, measure and report a matrix of suites, models, methods, bits and seeds.

    Cells that are stored are not run again; after an interruption the same command goes on.
    Options that take several values may be repeated or take commas.

    \b
    Examples:
      flatqat bench run
      flatqat bench run --bits 4,3 --seeds 3 --method fp,ptq,qat,anchor
      flatqat bench run --bits 4@apot --keep first,linear --layer-bits 'stage3.*=w2a4'
      flatqat bench run --suite cifar10-c-live --data-root data --recipe smoke --limit 500
      flatqat bench run --suite streets --bits 4
      flatqat bench run --method fp,qat,sam,saq --bits fp,4 --compute-matched
      flatqat bench run --set anchor.coupling=elastic --set recipe.lr=0.005 --dry-run
    """
    from flatqat.bench.plan.jobs import make_plan
    from flatqat.bench.plan.request import Request, parse_seeds, parse_spaces
    from flatqat.bench.plan.settings import parse_settings

    add_plugins(plugin)
    request = Request(
        suites=split(suite) or DEFAULT_SUITES,
        methods=split(method) or DEFAULT_METHODS,
        bits=split(bits) or DEFAULT_BITS,
        keep=split(keep) or None,
        layer_bits=split(layer_bits),
        models=split(model),
        seeds=parse_seeds(seeds),
        recipe=recipe,
        settings=parse_settings(setting or []),
        weights=weights,
        pretrained=pretrained,
        data_root=data_root,
        results=results,
        device=device,
        amp=amp,
        threads=threads,
        workers=workers,
        limit=limit,
        compute_matched=compute_matched,
        spaces=parse_spaces(split(space) or ("quantized",)) if flatness else (),
        window=window,
        rerun=rerun,
    )
    from flatqat.commands.execute import dry, execute

    raise typer.Exit((dry if dry_run else execute)(make_plan(request)))


@bench.command("report")
def bench_report(
    results: Results = Path("results"),
    suite: SuiteFilter = None,
    form: Annotated[
        str, typer.Option("--format", metavar="NAME", help="table, md, csv, json, latex or study.")
    ] = "table",
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write to this file, not to the terminal.")
    ] = None,
    by: Annotated[
        str, typer.Option(metavar="NAME", help="Rows: method, shift, family, severity or class.")
    ] = "method",
    against: Annotated[
        str, typer.Option(metavar="METHOD", help="What a study compares every method with.")
    ] = DEFAULT_AGAINST,
) -> None:
    """Tables out of what is stored; the same store gives the same bytes.

    A study is a page in Markdown, with a picture beside it: who wins where against one method of the same
    bits, and whether flat goes with OOD.

    \b
    Examples:
      flatqat bench report
      flatqat bench report --by family --format md --output table.md
      flatqat bench report --format study --output study.md
    """
    from flatqat.commands.execute import report

    report(results, suite, form, by, output, against)


def add_plugins(files: list[Path] | None) -> None:
    for file in files or []:
        registry.add_plugin(file)


def split(values: list[str] | None) -> tuple[str, ...]:
    """The parts of repeated and comma-separated values; an option that was given must hold some."""
    if values and not any(value.strip(" ,") for value in values):
        raise UsageError("expected a name after an option that takes names, got an empty text")
    return tuple(part.strip() for value in values or [] for part in value.split(",") if part.strip())
