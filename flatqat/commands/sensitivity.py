"""`flatqat sensitivity`: what lower bits cost each layer, and bits for each layer within a budget."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from flatqat.commands.of_results import (
    CellName,
    DataRoot,
    Device,
    OwnModel,
    Plugin,
    Results,
    Threads,
    Workers,
)
from flatqat.commands.options import DEFAULT_WORKERS, Names, add_plugins, option, refuse, split

FORMATS = ("table", "json", "csv")
HEADINGS = {
    "cell": "Arguments",
    "bits": "Measurements",
    "bops": "Proposed bits",
    "results": "Files and output",
    "device": "Computing",
}


def sensitivity(
    context: typer.Context,
    cell: CellName,
    bits: Annotated[
        str | None,
        option("BITS", "Lower bits: 3, w4a8.  [default: 4; of a quantized cell one fewer than it has]"),
    ] = None,
    mode: Annotated[
        Names, option("NAMES", "One layer at lower bits (one), or all others (all-but-one).  [default: one]")
    ] = None,
    what: Annotated[
        Names, option("NAMES", "What is at lower bits: weights, acts or both.  [default: both]")
    ] = None,
    layers: Annotated[Names, option("PATTERNS", "Layers to measure.  [default: all]")] = None,
    family: Annotated[
        Names, option("NAMES", "Families of shifts.  [default: those in the suite's mean]")
    ] = None,
    shift: Annotated[
        Names,
        option(
            "NAMES",
            "Shifts, or patterns such as 'fog/*'.  [default: the first of each family, severity 3]",
        ),
    ] = None,
    limit: Annotated[
        int, option("N", "Images per shift, and in total of those that choose bits.", min=4)
    ] = 200,
    seed: Annotated[int, option("N", "Decides which images are drawn.", min=0)] = 0,
    bops: Annotated[
        str | None,
        option("X", "Propose bits within this many GBOPs, or those of uniform bits, such as 4-bit."),
    ] = None,
    average_bits: Annotated[
        float | None, option("X", "Propose bits with which the mean weight has X bits.")
    ] = None,
    choices: Annotated[Names, option("BITS", "Bits that a layer may get.  [default: 8,6,5,4,3]")] = None,
    choose_on: Annotated[
        str, option("NAME", "Images that choose: clean, held-apart (corruptions) or worst-family.")
    ] = "clean",
    solver: Annotated[str, option("NAME", "How bits are chosen: exact or greedy.")] = "exact",
    check: Annotated[bool, typer.Option(help="Compare the proposal with uniform bits.")] = True,
    results: Results = Path("results"),
    data_root: DataRoot = None,
    form: Annotated[str, option("NAME", "Format: table, json or csv.", "--format")] = "table",
    plot: Annotated[Path | None, option("FILE", "Draw OOD against ID to a .png, .svg or .pdf file.")] = None,
    plugin: Plugin = None,
    model: OwnModel = None,
    device: Device = "auto",
    threads: Threads = 1,
    workers: Workers = DEFAULT_WORKERS,
) -> None:
    """Measure what lower bits cost each layer of a cell.

    Each layer of a stored cell gets fewer bits in turn. The table says by how much that changes the score on
    ID images, under shift (OOD) and in each family of shifts. With a budget it proposes bits for
    each layer, which images of the training distribution choose and never a shift that is scored.

    All numbers are kept in RESULTS/sensitivity: the same command goes on where it was interrupted, and
    another budget needs no other measurements.

    \b
    Examples:
      flatqat sensitivity tiny-fp-s0
      flatqat sensitivity tiny-fp-s0 --bits 3 --family noise --plot layers.png
      flatqat sensitivity tiny-fp-s0 --mode one,all-but-one --what weights,acts
      flatqat sensitivity tiny-fp-s0 --bops 4-bit --choose-on worst-family
    """
    from flatqat.bench.sensitivity.options import Options
    from flatqat.errors import choose

    add_plugins(plugin)
    choose("format", form, FORMATS)
    if bops is None and average_bits is None:
        of_a_proposal = ("choices", "choose_on", "solver", "check")
        refuse(context, of_a_proposal, "expected a budget beside it, --bops or --average-bits, got none")
    options = Options(
        bits=bits,
        modes=split(mode) or Options().modes,
        whats=split(what) or Options().whats,
        families=split(family),
        shifts=split(shift),
        layers=split(layers),
        limit=limit,
        seed=seed,
        bops=bops,
        average_bits=average_bits,
        choices=split(choices) or Options().choices,
        choose_on=choose_on,
        solver=solver,
        check=check,
    )
    from flatqat.bench.cell.environment import choose_device, prepare
    from flatqat.bench.records.files import check_may_write, write_output
    from flatqat.bench.records.picture_files import check_suffix
    from flatqat.bench.records.record_json import readable
    from flatqat.bench.sensitivity.as_data import as_csv, as_data
    from flatqat.bench.sensitivity.opened import open_cell
    from flatqat.bench.sensitivity.picture import picture
    from flatqat.bench.sensitivity.run import Sensitivity
    from flatqat.commands.layers import show
    from flatqat.commands.written import check_output, say_written
    from flatqat.console.progress import progress_for
    from flatqat.console.terminal import terminal
    from flatqat.errors import StoreError, TrainingFailed

    if plot:
        check_suffix("--plot", plot)
    check_output("--plot", plot, results, plugin or ())
    chosen, errors = choose_device(device), terminal(stderr=True)
    prepare(chosen, threads)
    check_may_write(results / "sensitivity")
    opened = open_cell(cell, results, data_root, split(model), chosen)
    try:
        found = Sensitivity(opened, options, progress_for(errors), device=chosen, workers=workers).run()
    except TrainingFailed as error:
        raise StoreError(f"cell {opened.record.cell.label}: {error}") from error
    data = as_data(found, threads)
    path = opened.kept.write(data, data["protocol"]["options"])
    if plot:
        tables = {sweep: table for sweep, (table, _) in found.sweeps.items()}
        write_output(plot, picture(opened.record.cell.label, str(found.bits), tables, plot.suffix))
    if form == "table":
        show(found)
    else:
        typer.echo(readable(data) if form == "json" else as_csv(found), nl=form == "json")
    if plot:
        say_written(plot)
    errors.print(f"stored in {shlex.quote(str(path))}", style="dim", soft_wrap=True)
