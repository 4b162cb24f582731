"""`flatqat flatness`, `flatqat audit` and `flatqat bench gallery`: look again at stored cells."""

from pathlib import Path
from typing import Annotated

import typer

from flatqat.commands.bench import CellName, DataRoot, Device, Plugin, Results, Threads, add_plugins, split


def flatness(
    cell: CellName,
    results: Results = Path("results"),
    data_root: DataRoot = None,
    measure: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAMES",
            help="Any of lambda_max, trace, density, sharpness, apgd, code_flips, step_size_noise.  "
            "[default: lambda_max,sharpness, as `bench run` stores; nothing else beside --landscape]",
        ),
    ] = None,
    landscape: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Draw the loss on a plane through the weights: .png, .svg, .csv, .json."
        ),
    ] = None,
    grid: Annotated[int, typer.Option(metavar="N", help="Points a side of the landscape, odd.")] = 21,
    span: Annotated[
        float, typer.Option(metavar="X", help="How far the landscape goes, in norms of each filter.")
    ] = 1.0,
    space: Annotated[
        str, typer.Option(metavar="NAME", help="Which weights move: quantized, latent or step_size.")
    ] = "quantized",
    acts: Annotated[bool, typer.Option(help="Input quantizers on.")] = True,
    images: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Training images.  [default: the recipe's]")
    ] = None,
    draws: Annotated[
        int,
        typer.Option(
            min=2, metavar="N", help="Random moves of each size of sharpness, code flips and step sizes."
        ),
    ] = 20,
    device: Device = "auto",
    threads: Threads = 1,
    plugin: Plugin = None,
) -> None:
    """Measure the flatness of a stored cell again, in any space. Prints JSON; the record stays as it is.

    \b
    Examples:
      flatqat flatness tiny-qat --space latent --no-acts
      flatqat flatness tiny-qat --measure trace,apgd,code_flips
      flatqat flatness tiny-qat --landscape tiny-qat.png
    """
    from flatqat.bench.flatness.landscape_file import LandscapeOptions
    from flatqat.commands.cell import flatness_of_cell

    add_plugins(plugin)
    picture = LandscapeOptions(file=landscape, points=grid, span=span) if landscape else None
    typer.echo(
        flatness_of_cell(
            cell,
            results,
            data_root,
            measures=split(measure),
            picture=picture,
            space=space,
            acts=acts,
            images=images,
            draws=draws,
            device=device,
            threads=threads,
        )
    )


def gallery(
    cells: Annotated[list[str], typer.Argument(help="Beginnings of stored cells' ids or labels.")],
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the page and its pictures.")],
    results: Results = Path("results"),
    data_root: DataRoot = None,
    shift: Annotated[
        list[str] | None, typer.Option(metavar="NAMES", help="Shifts to show.  [default: all, up to a dozen]")
    ] = None,
    images: Annotated[int, typer.Option(min=1, metavar="N", help="Images a shift.")] = 4,
    device: Device = "auto",
    threads: Threads = 1,
    plugin: Plugin = None,
) -> None:
    """Images, ground truth and predictions of segmentation cells side by side, as HTML and PNG.

    One cell brings along those to compare it with: its protocol's cells of the same bits and seed, and fp.

    \b
    Examples:
      flatqat bench gallery tiny-seg-anchor --output gallery
      flatqat bench gallery 3f2a91 77c0de --shift night,fog --images 8 --output gallery
    """
    from flatqat.bench.gallery.predictions import gallery

    add_plugins(plugin)
    page = gallery(
        cells,
        output,
        results,
        data_root,
        shifts=split(shift),
        images=images,
        device=device,
        threads=threads,
    )
    typer.echo(page)


def audit(
    cell: CellName, results: Results = Path("results"), data_root: DataRoot = None, plugin: Plugin = None
) -> None:
    """What a stored model really computes with: codes in use, clipped values, layers in floating point.

    \b
    Example:
      flatqat audit tiny-qat
    """
    from flatqat.commands.cell import audit_cell

    add_plugins(plugin)
    audit_cell(cell, results, data_root)
