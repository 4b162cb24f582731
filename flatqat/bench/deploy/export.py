"""Write a stored cell's quantized model to a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from flatqat.bench.deploy.cell import Deployable, deployable, example_images
from flatqat.bench.deploy.metadata import metadata_of
from flatqat.bench.records.files import write_output
from flatqat.console.printable import bytes_in_words
from flatqat.errors import UsageError, choose, found
from flatqat.export.codes_file import as_codes
from flatqat.export.describe import described
from flatqat.export.network import QuantizedNetwork, float_bytes, read_network, with_inputs_that_run
from flatqat.models.optional import require

SUFFIXES = {"onnx": ".onnx", "codes": ".safetensors"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """The file to write, its format, and whether BatchNorm is folded; raises UsageError if one is wrong."""

    file: Path
    form: str = "onnx"
    fold_batchnorm: bool = False

    def __post_init__(self) -> None:
        suffix = SUFFIXES[choose("format", self.form, SUFFIXES)]
        if self.file.is_dir():
            raise UsageError(f"--output: expected a file, got a folder: {self.file}")
        if not self.file.parent.is_dir():
            folder = self.file.parent
            raise UsageError(f"--output: expected an existing folder, got {found(folder)}: {folder}")
        if self.file.suffix != suffix:
            other = next((form for form, ending in SUFFIXES.items() if ending == self.file.suffix), None)
            hint = f"; did you mean --format {other}?" if other else ""
            raise UsageError(f"--output: expected a file that ends in {suffix}, got {self.file}{hint}")
        if self.fold_batchnorm and self.form != "onnx":
            raise UsageError("--fold-batchnorm: expected --format onnx, got codes, which has no graph")


def export_cell(
    name: str, results: Path, data_root: Path | None, options: ExportOptions, models: Sequence[str] = ()
) -> list[str]:
    """Write the model of the cell whose id or label begins with `name`; returns what to tell the user.

    Code runs only of `models`, see `trusted_model`. Nothing is written if it raises: UsageError if a package
    is missing or the network cannot be exported, StoreError as `deployable` does.
    """
    if options.form == "onnx":
        for package in ("onnx", "onnxscript"):
            require(package, extra="onnx")
    cell = deployable(name, results, models)
    network = read_network(cell.model.net)
    if options.form == "codes" and not network.weights:
        got = f"weights in floating point ({cell.record.cell.bits})"
        raise UsageError(
            f"--format codes: expected weights with codes to store, got {got}; use --format onnx"
        )
    images = example_images(cell, data_root)
    network = with_inputs_that_run(network, cell.model, images)
    made = _as_onnx if options.form == "onnx" else _as_codes
    data, notes = made(cell, network, images, options)
    write_output(options.file, data)
    whole = float_bytes(cell.model.net)
    share = f"{len(data) / whole:.1%} of {bytes_in_words(whole)} in float32"
    summary = f"{options.file}: {bytes_in_words(len(data))}, {share}; {_quantized(network)}"
    return [summary, *(["; ".join(notes)] if notes else [])]


def _as_onnx(
    cell: Deployable, network: QuantizedNetwork, images: Tensor, options: ExportOptions
) -> tuple[bytes, list[str]]:
    from flatqat.export.onnx_model import as_file, onnx_model

    exported = onnx_model(cell.model, network, images, fold_batchnorm=options.fold_batchnorm)
    notes = [*exported.notes, *_about_scoring(cell)]
    metadata = metadata_of(cell, described(exported.network), exported.axes, notes)
    for key, text in metadata.items():
        exported.proto.metadata_props.add(key=key, value=text)
    return as_file(exported.proto), [f"opset {exported.proto.opset_import[0].version}", *notes]


def _as_codes(
    cell: Deployable, network: QuantizedNetwork, images: Tensor, options: ExportOptions
) -> tuple[bytes, list[str]]:
    notes = _about_scoring(cell)
    metadata = metadata_of(cell, described(network), (), notes)
    return as_codes(cell.model.net, network, metadata), notes


def _about_scoring(cell: Deployable) -> list[str]:
    """Return what the cell was scored with that a file does not have."""
    notes = ["scored in bfloat16, computes in float32"] if cell.model.amp else []
    return notes + ([f"scored through the window {cell.model.window}"] if cell.model.window else [])


def _quantized(network: QuantizedNetwork) -> str:
    some = sum(owner is not None or name in network.inputs for name, owner in network.layers.items())
    layers = f"{some} of {len(network.layers)} layers"
    if not network.weights:
        return f"inputs of {layers} quantized, weights in floating point"
    return f"{layers} quantized"
