"""`flatqat export`: a stored cell's quantized model as a file, and what can be done with that file."""

from pathlib import Path
from typing import Annotated

import typer

from flatqat.commands.of_results import CellName, DataRoot, OwnModel, Plugin, Results
from flatqat.commands.options import WithDefault, add_plugins, flag, group, option, split
from flatqat.commands.verify import verify

export = group("export", "Write a stored cell's quantized model to a file.", cls=WithDefault)


@export.command("write")
def write(
    cell: CellName,
    output: Annotated[
        Path, option("FILE", "File to write: .onnx, or .safetensors for codes.", "--output", "-o")
    ],
    form: Annotated[
        str, option("NAME", "Format: onnx, or codes (packed integers for any reader).", "--format")
    ] = "onnx",
    fold_batchnorm: Annotated[
        bool,
        flag("--fold-batchnorm", "Fold BatchNorm into the scales of weights; codes change in sign at most."),
    ] = False,
    results: Results = Path("results"),
    data_root: DataRoot = None,
    model: OwnModel = None,
    plugin: Plugin = None,
) -> None:
    """Write a stored cell's quantized model to a file.

    An ONNX file has the integer codes of the weights, packed into 4 bits where they have at most 4, and
    rounds inputs with QuantizeLinear and DequantizeLinear at the cell's own scales. It takes images in [0, 1]
    and normalizes them itself. Grids that these operators cannot express become lookup tables, which give the
    same numbers. `codes` is a safetensors file with the codes of each weight in exactly their bits, for
    readers without ONNX.

    \b
    Examples:
      flatqat export tiny-qat-4-s0 --output tiny.onnx
      flatqat export tiny-qat-4-s0 --output tiny.onnx --fold-batchnorm
      flatqat export tiny-qat-4-s0 --output tiny.safetensors --format codes
    """
    from flatqat.bench.deploy.export import ExportOptions, export_cell
    from flatqat.commands.written import check_output

    options = ExportOptions(file=output, form=form, fold_batchnorm=fold_batchnorm)
    check_output("--output", output, results, plugin or ())
    add_plugins(plugin)
    for line in export_cell(cell, results, data_root, options, models=split(model)):
        typer.echo(line)


export.command("verify")(verify)
