"""`flatqat flatness`, `flatqat audit` and `flatqat bench gallery`: a closer look at stored cells."""

from pathlib import Path
from typing import Annotated

import typer

from flatqat.commands.of_results import CellName, DataRoot, Device, OwnModel, Plugin, Results, Threads
from flatqat.commands.options import Names, add_plugins, argument, option, refuse, split


def flatness(
    context: typer.Context,
    cell: CellName,
    results: Results = Path("results"),
    data_root: DataRoot = None,
    measure: Annotated[
        Names,
        option(
            "NAMES",
            "Any of lambda_max, trace, density, sharpness, apgd, code_flips, step_size_noise.  "
            "[default: lambda_max,sharpness, as in `bench run`; none with --landscape]",
        ),
    ] = None,
    landscape: Annotated[
        Path | None,
        option(
            "FILE", "Plot the loss on a plane through the weights, to a .png, .svg, .pdf, .csv or .json file."
        ),
    ] = None,
    grid: Annotated[int, option("N", "Landscape points per side; odd.")] = 21,
    span: Annotated[
        float, option("X", "How far the landscape extends, in units of each filter's norm.")
    ] = 1.0,
    space: Annotated[
        str, option("NAME", "What to perturb: quantized (weights), latent (weights) or step_size.")
    ] = "quantized",
    acts: Annotated[bool, typer.Option(help="Quantize activations.")] = True,
    images: Annotated[
        int | None,
        option(
            "N",
            "Training images to measure on, in whole batches of 256 (or fewer large ones).  [default: the "
            "recipe's]",
            min=1,
        ),
    ] = None,
    draws: Annotated[
        int | None,
        option(
            "N",
            "Random perturbations per radius, for sharpness, code_flips and step_size_noise.  [default: 20]",
            min=2,
        ),
    ] = None,
    device: Device = "auto",
    threads: Threads = 1,
    model: OwnModel = None,
    plugin: Plugin = None,
) -> None:
    """Measure the flatness of a stored cell.

    Prints JSON and leaves the record as it is.

    \b
    Examples:
      flatqat flatness tiny-qat-4-s0 --space latent --no-acts
      flatqat flatness tiny-qat-4-s0 --measure trace,apgd,code_flips
      flatqat flatness tiny-qat-4-s0 --landscape tiny-qat.png
    """
    from flatqat.bench.flatness.landscape_file import LandscapeOptions
    from flatqat.commands.cell import FlatnessOptions, flatness_of_cell
    from flatqat.commands.written import check_output

    add_plugins(plugin)
    if landscape is None:
        refuse(context, ("grid", "span"), "expected --landscape beside it, got none")
    options = FlatnessOptions(
        models=split(model),
        measures=split(measure),
        picture=LandscapeOptions(file=landscape, points=grid, span=span) if landscape else None,
        space=space,
        acts=acts,
        images=images,
        draws=draws,
        device=device,
        threads=threads,
    )
    check_output("--landscape", landscape, results, plugin or ())
    typer.echo(flatness_of_cell(cell, results, data_root, options))


def gallery(
    cells: Annotated[list[str], argument("CELL", "How stored cells' ids or labels begin.")],
    output: Annotated[Path, option("DIR", "Output folder for the page and its images.", "--output", "-o")],
    results: Results = Path("results"),
    data_root: DataRoot = None,
    shift: Annotated[
        Names, option("NAMES", "Shifts to show.  [default: all; of more than 12, severity 3 alone]")
    ] = None,
    images: Annotated[
        int, option("N", "Images per shift, of those that all cells were scored on.", min=1)
    ] = 4,
    device: Device = "auto",
    threads: Threads = 1,
    model: OwnModel = None,
    plugin: Plugin = None,
) -> None:
    """Show predictions of segmentation cells side by side.

    Writes an HTML page and PNG images with the input, the ground truth and each cell's prediction. For a
    single cell, comparable ones are added: those of its protocol, bits and seed, and fp.

    \b
    Examples:
      flatqat bench gallery tiny-seg-anchor-4-s0 --output gallery
      flatqat bench gallery 3f2a91 77c0de --shift night,fog --output gallery
    """
    from flatqat.bench.gallery.predictions import gallery
    from flatqat.bench.records.files import check_may_write
    from flatqat.commands.written import check_apart

    add_plugins(plugin)
    check_apart("--output", output, results)
    check_may_write(output, "--output")
    page = gallery(
        cells,
        output,
        results,
        data_root,
        shifts=split(shift),
        images=images,
        device=device,
        threads=threads,
        named=split(model),
    )
    typer.echo(page)


def audit(
    cell: CellName,
    results: Results = Path("results"),
    data_root: DataRoot = None,
    model: OwnModel = None,
    plugin: Plugin = None,
) -> None:
    """Show what a stored model really computes with.

    Lists for each tensor the bits, the codes in use and the clipped values, and what is not quantized.

    A network that a Python file defines is built only if you name that file, and only if it is the one that
    the cell was made with.

    \b
    Examples:
      flatqat audit tiny-qat-4-s0
      flatqat audit file_nets.py_make-qat-4-s0 --model file:nets.py:make
    """
    from flatqat.commands.cell import audit_cell

    add_plugins(plugin)
    audit_cell(cell, results, data_root, split(model))
