"""`flatqat export verify`: an exported file beside its cell, in a runtime."""

from pathlib import Path
from typing import Annotated

import typer

from flatqat.commands.of_results import CellName, DataRoot, OwnModel, Plugin, Results, Threads, Workers
from flatqat.commands.options import DEFAULT_WORKERS, add_plugins, argument, flag, option, split
from flatqat.exit_codes import OK, WRONG


def verify(
    cell: CellName,
    file: Annotated[Path, argument("FILE", "The cell's exported file, such as tiny.onnx.")],
    runtime: Annotated[str, option("NAME", "What runs the file: onnxruntime or openvino.")] = "onnxruntime",
    min_agreement: Annotated[
        float | None,
        option(
            "PERCENT",
            "Exit 1 if fewer predictions agree, without graph optimization.  [default: no gate]",
            min=0,
            max=100,
        ),
    ] = None,
    min_agreement_optimized: Annotated[
        float | None,
        option(
            "PERCENT",
            "Exit 1 if fewer predictions agree with graph optimization.  [default: no gate]",
            min=0,
            max=100,
        ),
    ] = None,
    latency: Annotated[bool, flag("--latency", "Measure how long one image takes, too.")] = False,
    codes: Annotated[
        int, option("N", "Compare rounded inputs of layers on N images a set; 0 for none.", min=0)
    ] = 2,
    exact: Annotated[
        int,
        option("N", "Compute N images a set in float64, too, where nothing is rounded; 0 for none.", min=0),
    ] = 1,
    form: Annotated[str, option("NAME", "Format: table or json.", "--format")] = "table",
    results: Results = Path("results"),
    data_root: DataRoot = None,
    limit: Annotated[
        int | None,
        option("N", "Score at most N images of each set.  [default: as many as the cell]", min=2),
    ] = None,
    threads: Threads = 1,
    workers: Workers = DEFAULT_WORKERS,
    model: OwnModel = None,
    plugin: Plugin = None,
) -> None:
    """Compare an exported file with its cell, image by image.

    A runtime runs the file on the ID images and on every shift, on the very batches that the cell sees: once
    without graph optimization, which computes what the file says, and once with all of it, as it is used.
    The outcome is kept in the cell's record and shown in reports.

    \b
    Exit codes:
      0  compared
      1  fewer predictions agree than --min-agreement or --min-agreement-optimized
      2  wrong usage, such as the file of another cell

    \b
    Examples:
      flatqat export verify tiny-qat-4-s0 tiny.onnx
      flatqat export verify tiny-qat-4-s0 tiny.onnx --min-agreement 99.9
      flatqat export verify tiny-qat-4-s0 tiny.onnx --min-agreement-optimized 98
      flatqat export verify tiny-qat-4-s0 tiny.onnx --runtime openvino --latency
    """
    from flatqat.bench.deploy.verify import VerifyOptions, verify_cell
    from flatqat.commands.verified import FORMATS, Least, as_json, deployed, show_verified
    from flatqat.console.progress import progress_for
    from flatqat.console.terminal import terminal
    from flatqat.errors import choose

    known = choose("format", form, FORMATS)
    least = Least(plain=min_agreement, optimized=min_agreement_optimized)
    add_plugins(plugin)
    options = VerifyOptions(
        file=file,
        runtime=runtime,
        limit=limit,
        threads=threads,
        workers=workers,
        code_images=codes,
        exact_images=exact,
        latency=latency,
        models=split(model),
    )
    record = verify_cell(cell, results, data_root, options, progress_for(terminal(stderr=True)))
    if known == "json":
        typer.echo(as_json(record, least), nl=False)
    else:
        show_verified(record, least)
    raise typer.Exit(WRONG if least.failing(deployed(record)) else OK)
