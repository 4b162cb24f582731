"""Write a stored cell's quantized model to a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flatqat.bench.deploy.cell import deployable, example_images
from flatqat.bench.deploy.metadata import metadata_of
from flatqat.bench.records.files import write_output
from flatqat.errors import UsageError, choose, found
from flatqat.export.describe import described
from flatqat.export.network import read_network
from flatqat.models.optional import require

SUFFIXES = {"onnx": ".onnx", "codes": ".safetensors"}
FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """The file to write and how; raises UsageError if that cannot be."""

    file: Path
    form: str = "onnx"
    fold_batchnorm: bool = False

    def __post_init__(self) -> None:
        suffix = SUFFIXES[choose("format", self.form, SUFFIXES)]
        if self.file.is_dir() or not self.file.parent.is_dir():
            wrong = self.file if self.file.is_dir() else self.file.parent
            expected = "a file" if self.file.is_dir() else "an existing folder"
            raise UsageError(f"--output: expected {expected}, got {found(wrong)}: {wrong}")
        if self.file.suffix != suffix:
            other = next((form for form, ending in SUFFIXES.items() if ending == self.file.suffix), None)
            hint = f"; did you mean --format {other}?" if other else ""
            raise UsageError(f"--output: expected a file that ends in {suffix}, got {self.file}{hint}")


def export_cell(
    name: str, results: Path, data_root: Path | None, options: ExportOptions, models: Sequence[str] = ()
) -> list[str]:
    """Write the model of the cell whose id or label begins with `name`; returns what to tell the user.

    Code runs only of `models`, see `trusted_model`. Nothing is written if it raises: UsageError if a package
    is missing or the network cannot be exported, StoreError as `deployable`.
    """
    for package in ("onnx", "onnxscript"):
        require(package, extra="onnx")
    from flatqat.export.onnx_model import checked, onnx_model

    cell = deployable(name, results, models)
    network = read_network(cell.model.net)
    proto, axes = onnx_model(cell.model, network, example_images(cell, data_root))
    notes: list[str] = []
    for key, text in metadata_of(cell, described(network), axes, notes).items():
        proto.metadata_props.add(key=key, value=text)
    data = checked(proto)
    write_output(options.file, data)
    return [f"{options.file}: {len(data):,} bytes"]
