"""`flatqat bench run`."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from flatqat.commands.of_cells import (
    BitWidths,
    Keep,
    LayerBits,
    Methods,
    Models,
    RecipeName,
    Seeds,
    Settings,
    Suites,
    Weights,
)
from flatqat.commands.of_results import (
    AllRevisions,
    DataRoot,
    Device,
    Jobs,
    Limit,
    PerDevice,
    Plugin,
    Results,
    Threads,
    Workers,
)
from flatqat.commands.options import DEFAULT_WORKERS, Names, flag, group, option, refuse, sectioned, split

DEFAULT_SUITES, DEFAULT_METHODS, DEFAULT_BITS = ("digits-c",), ("fp", "qat", "anchor"), ("4",)

HEADINGS = {"suite": "Cells", "limit": "Measurements", "data_root": "Files and output", "device": "Computing"}

bench = group("bench", "Run the benchmark, report its results, gate CI on them.")


@bench.command("run", cls=sectioned(HEADINGS))
def bench_run(
    context: typer.Context,
    suite: Suites = None,
    model: Models = None,
    method: Methods = None,
    bits: BitWidths = None,
    keep: Keep = None,
    layer_bits: LayerBits = None,
    seeds: Seeds = None,
    recipe: RecipeName = None,
    setting: Settings = None,
    compute_matched: Annotated[
        bool,
        flag(
            "--compute-matched",
            "Give single-pass methods except fp twice the steps: all that train on low bits cost the same.",
        ),
    ] = False,
    weights: Weights = None,
    pretrained: Annotated[
        bool,
        flag(
            "--pretrained",
            "Start from the model source's public weights; downloads them if needed, with --dry-run, too.",
        ),
    ] = False,
    plugin: Plugin = None,
    limit: Limit = None,
    window: Annotated[
        str | None,
        option("SIZE", "Sliding window for segmentation, 512[:STRIDE], or whole.  [default: the model's]"),
    ] = None,
    adapt: Annotated[
        str | None,
        option(
            "NAME",
            "Adapt to each set, ID included, without labels: bn (BatchNorm statistics) or bn+steps (also the "
            "ranges of quantized inputs).  [default: no adaptation]",
        ),
    ] = None,
    flatness: Annotated[bool, typer.Option(help="Measure flatness, too.")] = True,
    space: Annotated[
        Names,
        option("NAMES", "Spaces to measure flatness in: quantized, latent, step_size.  [default: quantized]"),
    ] = None,
    data_root: DataRoot = None,
    results: Results = Path("results"),
    rerun: Annotated[bool, flag("--rerun", "Compute stored cells again.")] = False,
    dry_run: Annotated[
        bool,
        flag("--dry-run", "Print the cells, what would stop the run and the estimated time; run nothing."),
    ] = False,
    all_revisions: AllRevisions = False,
    write_baseline: Annotated[
        Path | None, option("FILE", "Write the cells of this run as a baseline, too.")
    ] = None,
    log: Annotated[
        str | None,
        option("NAME", "Write training curves for tensorboard, wandb or mlflow.", envvar="FLATQAT_LOG"),
    ] = None,
    device: Device = "auto",
    amp: Annotated[bool, flag("--amp", "Run forward passes in bfloat16 (autocast).")] = False,
    compiled: Annotated[
        bool,
        flag(
            "--compile",
            "Compile training steps: half a minute a cell, minutes for a deep network, then faster; needs a "
            "C++ compiler.",
        ),
    ] = False,
    threads: Threads = 1,
    workers: Workers = DEFAULT_WORKERS,
    jobs: Jobs = "auto",
    devices: Annotated[
        Names, option("NAMES", "A process on each of these devices, such as cuda:0,cuda:1.")
    ] = None,
    per_device: PerDevice = None,
    ray: Annotated[
        str | None,
        option("CLUSTER", "Work on a Ray cluster: local, auto (the one that runs here) or HOST:PORT."),
    ] = None,
    distributed: Annotated[
        bool, flag("--distributed", "Train each cell with all processes that torchrun has started.")
    ] = False,
) -> None:
    """Train, evaluate and measure models, and print a table.

    Each combination of suite, model, method, bits and seed is a cell. Finished cells are stored and not
    computed again, so the same command resumes an interrupted run, and runs that share a results folder share
    the work. Options that take several values may be repeated or take a comma-separated list. Exits 3 if a
    cell failed, was skipped or lacks its flatness; a flatness that is undefined, as for an infinite loss,
    does not count. `--dry-run` exits 2 if data is missing, and 3 if a cell would fail or be
    skipped.

    \b
    Examples:
      flatqat bench run
      flatqat bench run --bits 4,3 --seeds 3 --method fp,ptq,qat,anchor --jobs 4
      flatqat bench run --bits 4,3 --devices cuda:0,cuda:1 --per-device 2
      flatqat bench run --bits 4@apot --keep first --layer-bits 'stage3.*=w2a4'
      flatqat bench run --suite cifar10-c-live --data-root data --limit 500
      flatqat bench run --method qat,anchor --set anchor.strength=0.03,0.1,0.3
      flatqat bench run --suite streets --bits 4
      flatqat bench run --method fp,qat,sam,saq --bits fp,4 --compute-matched
      flatqat bench run --recipe smoke --set recipe.lr=0.005 --dry-run
    """
    from flatqat.bench.plan.jobs import make_plan
    from flatqat.bench.plan.processes import parse_processes
    from flatqat.bench.plan.request import Request, parse_adapt, parse_seeds, parse_spaces
    from flatqat.bench.plan.settings import parse_settings
    from flatqat.bench.ranks.place import Place
    from flatqat.commands.distributed import follow, leading

    if not flatness:
        refuse(context, ("space",), "expected no --no-flatness, which measures nothing")
    if dry_run:
        refuse(context, ("all_revisions",), "expected no --dry-run, which prints no table")
    place = Place.of(os.environ) if distributed else None
    if place and not place.leads:
        raise typer.Exit(follow(place))
    listed = None if devices is None else split(devices)
    processes = parse_processes(jobs=jobs, device=device, devices=listed, per_device=per_device, ray=ray)
    request = Request(
        **asdict(processes),
        suites=split(suite) or DEFAULT_SUITES,
        methods=split(method) or DEFAULT_METHODS,
        bits=split(bits) or DEFAULT_BITS,
        keep=split(keep) or None,
        layer_bits=split(layer_bits),
        models=split(model),
        seeds=None if seeds is None else parse_seeds(seeds),
        recipe=recipe,
        settings=parse_settings(setting or []),
        weights=weights,
        pretrained=pretrained,
        data_root=data_root,
        results=results,
        amp=amp,
        compile=compiled,
        threads=threads,
        workers=workers,
        limit=limit,
        compute_matched=compute_matched,
        spaces=parse_spaces(split(space) or ("quantized",)) if flatness else (),
        window=window,
        adapt=parse_adapt(adapt),
        rerun=rerun,
        log=log,
        plugins=tuple(plugin or ()),
    )
    from flatqat.commands.execute import dry, execute
    from flatqat.commands.written import check_later

    read = [file for file in (weights, *(plugin or ())) if file]
    check_later("--write-baseline", write_baseline, results, read, dry_run=dry_run)
    with leading(place, request) as (own, ranks):
        plan = make_plan(own)
        code = (
            dry(plan)
            if dry_run
            else execute(plan, all_revisions=all_revisions, baseline=write_baseline, ranks=ranks)
        )
    raise typer.Exit(code)
