"""Stored cells of the toy suite, their exported files, and files with a planted fault."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from flatqat.bench.deploy.export import ExportOptions, export_cell
from flatqat.bench.deploy.verify import VerifyOptions, verify_cell
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.records.store import Store
from flatqat.console.progress import Progress
from flatqat.spec import Record
from tests.helpers.running import run_plan

BITS = ("8", "4", "3")


def trained(folder: Path, **settings: Any) -> Store:
    """A results folder with cells of the toy suite: one in full precision and one for each of BITS."""
    defaults: dict[str, Any] = {"suites": ("toy",), "methods": ("fp", "qat"), "bits": BITS, "seeds": (0,)}
    run_plan(make_plan(Request(**defaults | settings, spaces=(), results=folder, jobs=1)))
    return Store(folder)


def exported(store: Store, name: str, file: Path) -> Path:
    """The file of the cell whose label begins with `name`."""
    export_cell(name, store.root, None, ExportOptions(file=file))
    return file


def verified(store: Store, name: str, file: Path, **options: Any) -> Record:
    """The record of a cell after its file was compared with it."""
    return verify_cell(name, store.root, None, VerifyOptions(file=file, **options), Progress())


def changed(file: Path, change: Callable[[Any], None]) -> Path:
    """A copy of an ONNX file after `change`, which gets the model."""
    import onnx

    model = onnx.load(file)
    change(model)
    copy = file.with_name(f"changed-{file.name}")
    onnx.save(model, copy)
    return copy


def with_other_scale(file: Path, layer: str, factor: float) -> Path:
    """A copy in which the input of a layer is rounded with another step size."""
    from onnx import numpy_helper

    def change(model: Any) -> None:
        (scale,) = [one for one in model.graph.initializer if one.name == f"{layer}.input.scale"]
        other = numpy_helper.to_array(scale) * factor
        scale.CopyFrom(numpy_helper.from_array(other.astype("float32"), scale.name))

    return changed(file, change)


def with_other_code(file: Path, layer: str) -> Path:
    """A copy in which the first byte of a layer's stored codes is another."""

    def change(model: Any) -> None:
        (codes,) = [one for one in model.graph.initializer if one.name == f"{layer}.weight.codes"]
        data = bytearray(codes.raw_data)
        data[0] ^= 0x77
        codes.raw_data = bytes(data)

    return changed(file, change)
