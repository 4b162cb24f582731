"""An exported ONNX file as it is read back: whose it is, and its graph."""

import hashlib
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flatqat.bench.deploy.cell import Deployable
from flatqat.bench.deploy.metadata import SCHEMA
from flatqat.bench.records.files import read_bytes
from flatqat.bench.records.named import results_option
from flatqat.errors import UsageError
from flatqat.export.trace import INPUT, OUTPUT

SCHEMA_KEY, CELL_KEY, WEIGHTS_KEY = "flatqat.schema", "flatqat.cell", "flatqat.weights_sha256"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedFile:
    """A file of a cell: its path, its bytes, and the model of ONNX that they are."""

    path: Path
    data: bytes
    model: Any

    @property
    def sha256(self) -> str:
        """The SHA-256 of the file."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def batch(self) -> int | None:
        """The number of images that the graph takes at a time; None for any."""
        first = self.model.graph.input[0].type.tensor_type.shape.dim[0]
        return first.dim_value if first.HasField("dim_value") else None

    def with_codes(self, layers: Sequence[str]) -> tuple[bytes, list[str]]:
        """Return a graph that also returns the codes of quantized inputs, and the layer of each such output.

        Codes are int32, less their zero points, so they are those of the quantizers. Inputs that are looked
        up in tables have none.
        """
        from onnx import TensorProto, helper, numpy_helper

        model = _copy(self.model)
        graph = model.graph
        found: list[str] = []
        constants = {constant.name: constant for constant in graph.initializer}
        for node in list(graph.node):
            layer = _layer_of(node.name, layers)
            if node.op_type != "QuantizeLinear" or layer is None:
                continue
            output = f"codes.{len(found)}"
            zero = numpy_helper.to_array(constants[node.input[2]]).astype("int32")
            graph.initializer.append(numpy_helper.from_array(zero, f"{output}.zero"))
            graph.node.append(
                helper.make_node("Cast", [node.output[0]], [f"{output}.cast"], to=TensorProto.INT32)
            )
            graph.node.append(helper.make_node("Sub", [f"{output}.cast", f"{output}.zero"], [output]))
            graph.output.append(helper.make_tensor_value_info(output, TensorProto.INT32, None))
            found.append(layer)
        return model.SerializeToString(), found


def _copy(model: Any) -> Any:
    """Return another model of ONNX with the same content."""
    new = type(model)()
    new.CopyFrom(model)
    return new


def _layer_of(node: str, layers: Sequence[str]) -> str | None:
    """Return the layer whose input a node quantizes, whose name begins with that of the layer."""
    return max((layer for layer in layers if node.startswith(f"{layer}.")), key=len, default=None)


def read_exported(path: Path, cell: Deployable) -> ExportedFile:
    """Return the exported file of a cell.

    Raises StoreError if there is none, and UsageError if it is damaged, of another program or another cell,
    or of weights that the cell no longer has.
    """
    import onnx

    label, where = cell.record.cell.label, results_option(cell.results)
    usual = Path(f"{label}.onnx")

    def write(output: Path) -> str:
        return f"write it with: flatqat export {label} --output {shlex.quote(str(output))}{where}"

    fix = write(path if path.suffix == ".onnx" else usual)
    elsewhere = write(usual if path.resolve() != usual.resolve() else Path(f"{cell.record.cell.id}.onnx"))
    data = read_bytes(path, fix)
    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # whatever protobuf makes of other bytes
        got = "got a damaged one or another format"
        raise UsageError(f"{path}: expected an ONNX file, {got}; {fix}") from error
    says = _metadata(model)
    if not says:
        got = "got one of another program"
        raise UsageError(f"{path}: expected a file of flatqat export, {got}; {elsewhere}")
    if says["schema"] != str(SCHEMA):
        got = f"got {says['schema']}, of another version of flatqat"
        raise UsageError(f"{path}: expected a file of schema {SCHEMA}, {got}; {fix}")
    if says["cell"] != cell.record.cell.id:
        got = f"got that of {says['label']} ({says['cell']})"
        raise UsageError(f"{path}: expected the file of {label} ({cell.record.cell.id}), {got}; {elsewhere}")
    if says["weights"] != cell.weights_sha256:
        raise UsageError(f"{path}: expected the weights that {label} has now, got older ones; {fix}")
    names = [[value.name for value in values] for values in (model.graph.input, model.graph.output)]
    if names != [[INPUT], [OUTPUT]]:
        got = f"got {', '.join(names[0])} and {', '.join(names[1])}"
        raise UsageError(f"{path}: expected the input {INPUT!r} and the output {OUTPUT!r}, {got}; {fix}")
    return ExportedFile(path=path, data=data, model=model)


def _metadata(model: Any) -> dict[str, str]:
    """Return the id and the label of a file's cell, and the hash of its weights; nothing if it has none."""
    texts = {entry.key: entry.value for entry in model.metadata_props}
    try:
        cell = json.loads(texts[CELL_KEY])
        return {
            "schema": str(json.loads(texts[SCHEMA_KEY])),
            "cell": str(cell["id"]),
            "label": str(cell["label"]),
            "weights": str(json.loads(texts[WEIGHTS_KEY])),
        }
    except (KeyError, TypeError, ValueError):
        return {}
