"""`flatqat bench run` and `bench report`, and the options that several commands share."""

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
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Run the benchmark, report its results, gate CI on them.",
)

Results = Annotated[Path, typer.Option(metavar="DIR", help="Folder of records, predictions and weights.")]
DataRoot = Annotated[
    Path | None, typer.Option(metavar="DIR", envvar="FLATQAT_DATA_ROOT", help="Folder of the datasets.")
]
Device = Annotated[str, typer.Option(metavar="NAME", help="Device: auto, cpu, cuda or cuda:INDEX.")]
Threads = Annotated[
    int, typer.Option(min=1, metavar="N", help="CPU threads; more than 1 helps only on an idle machine.")
]
Workers = Annotated[
    int, typer.Option(min=0, metavar="N", help="Image-decoding threads; 0 decodes in the main thread.")
]
Plugin = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="Python file that exports a plugin; may be repeated."),
]
SuiteFilter = Annotated[str | None, typer.Option("--suite", metavar="NAME", help="Report only this suite.")]
SuiteName = Annotated[str, typer.Argument(metavar="NAME", help="Name of a suite: see `flatqat suites list`.")]
CellName = Annotated[
    str, typer.Argument(metavar="CELL", help="How a stored cell's id or label begins, such as tiny-qat.")
]


@bench.command("run")
def bench_run(
    suite: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Suites: see `suites list`.  [default: digits-c]")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Models: see `models list`.  [default: the suite's]"),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Methods: see `methods list`.  [default: fp,qat,anchor]"),
    ] = None,
    bits: Annotated[
        list[str] | None,
        typer.Option(metavar="BITS", help="Bit widths: 4, w4a8, w4a32@lsq or fp.  [default: 4]"),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LAYERS",
            help="Layers kept at 8 bits: name patterns, or none.  [default: first,last]",
        ),
    ] = None,
    layer_bits: Annotated[
        list[str] | None,
        typer.Option(metavar="LAYERS=BITS", help="Per-layer bit widths, such as 'layer4.*=w2a4'."),
    ] = None,
    seeds: Annotated[
        str, typer.Option(metavar="SEEDS", help="How many seeds (3), or which (0,1,2 or 7,).")
    ] = "1",
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="How to train: steps, optimizer, learning rates; see `suites show`.  [default: the suite's]",
        ),
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a setting, such as anchor.strength=0.1 or recipe.lr=0.01.",
        ),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Start from these weights instead of pretraining.")
    ] = None,
    pretrained: Annotated[
        bool,
        typer.Option(
            "--pretrained", help="Start from the model source's public weights; downloads them if needed."
        ),
    ] = False,
    data_root: DataRoot = None,
    results: Results = Path("results"),
    device: Device = "auto",
    amp: Annotated[bool, typer.Option("--amp", help="Run forward passes in bfloat16 (autocast).")] = False,
    threads: Threads = 1,
    workers: Workers = DEFAULT_WORKERS,
    limit: Annotated[
        int | None, typer.Option(min=2, metavar="N", help="Score at most N images per shift.")
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Sliding window for segmentation, 512[:STRIDE], or whole.  [default: the model's]",
        ),
    ] = None,
    compute_matched: Annotated[
        bool,
        typer.Option(
            "--compute-matched",
            help="Give single-pass methods except fp twice the steps, so that all methods cost the same.",
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print the cells, missing data and the estimated time, then stop."),
    ] = False,
    flatness: Annotated[bool, typer.Option(help="Measure flatness, too.")] = True,
    space: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAMES",
            help="Spaces to measure flatness in: quantized, latent, step_size.  [default: quantized]",
        ),
    ] = None,
    rerun: Annotated[bool, typer.Option("--rerun", help="Compute stored cells again.")] = False,
    plugin: Plugin = None,
) -> None:
    """Train, evaluate and measure models, and print a table.

    Each combination of suite, model, method, bits and seed is a cell. Finished cells are stored and not
    computed again, so the same command resumes an interrupted run. Options that take several values may be
    repeated or take a comma-separated list. Exits 3 if a cell failed or was skipped.

    \b
    Examples:
      flatqat bench run
      flatqat bench run --bits 4,3 --seeds 3 --method fp,ptq,qat,anchor
      flatqat bench run --bits 4@apot --keep first --layer-bits 'stage3.*=w2a4'
      flatqat bench run --suite cifar10-c-live --data-root data --limit 500
      flatqat bench run --suite streets --bits 4
      flatqat bench run --method fp,qat,sam,saq --bits fp,4 --compute-matched
      flatqat bench run --recipe smoke --set recipe.lr=0.005 --dry-run
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
        str, typer.Option("--format", metavar="NAME", help="Format: table, md, csv, json, latex or study.")
    ] = "table",
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write to this file instead of the terminal.")
    ] = None,
    by: Annotated[
        str, typer.Option(metavar="NAME", help="One row per method, shift, family, severity or class.")
    ] = "method",
    against: Annotated[
        str, typer.Option(metavar="METHOD", help="The method that a study compares all others with.")
    ] = DEFAULT_AGAINST,
) -> None:
    """Print tables of stored results, or write a study.

    The same results give the same bytes. A study is a Markdown page with a figure: which method wins where,
    compared with one method at the same bits, and whether flatness correlates with OOD accuracy.

    \b
    Examples:
      flatqat bench report
      flatqat bench report --by family --format md --output table.md
      flatqat bench report --format study --output study.md
    """
    from flatqat.commands.execute import report

    report(results, suite, form, by, output, against)


def add_plugins(files: list[Path] | None) -> None:
    """Register the plugins in `files`. Raises PluginError for a file that is not one."""
    for file in files or []:
        registry.add_plugin(file)


def split(values: list[str] | None) -> tuple[str, ...]:
    """Return the names in repeated and comma-separated values, () without any values.

    Raises UsageError if an option was given without a name.
    """
    if values and not any(value.strip(" ,") for value in values):
        raise UsageError("expected a name, got an empty option; leave the option out to use its default")
    return tuple(part.strip() for value in values or [] for part in value.split(",") if part.strip())
