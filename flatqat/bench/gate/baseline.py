"""The file that the gate compares with: of every finished cell, what its metric needs of each image.

For top-1 that is one bit an image, right or wrong; for mIoU the intersections and unions of the classes, as
unsigned integers of 32 bits. Both are compressed, as text in JSON.
"""

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatqat.bench.records.files import Arrays, write_output
from flatqat.bench.records.paired import outcomes_of
from flatqat.bench.records.record_json import pop_schema, read_as, read_json, to_json
from flatqat.bench.records.schema_1 import upgrade_shifts
from flatqat.bench.records.store import Store
from flatqat.errors import StoreError
from flatqat.metrics.metric import METRICS, Metric
from flatqat.spec import ShiftInfo, Stored

BASELINE_SCHEMA = 2
FIX = "check --baseline; make one with: flatqat bench baseline"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedCell(Stored):
    """A cell as the file has it: by scored set its shift, number of images, and packed bits or counts."""

    label: str
    shifts: Mapping[str, ShiftInfo]
    images: Mapping[str, int]
    metric: str = "top1"
    correct: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineCell:
    """A cell of a baseline: by scored set its shift, and the metric's value of each image."""

    label: str
    shifts: Mapping[str, ShiftInfo]
    metric: Metric
    values: Arrays

    @property
    def images(self) -> dict[str, int]:
        """The number of images of each scored set."""
        return {shift: len(values) for shift, values in self.values.items()}


def write_baseline(store: Store, output: Path) -> int:
    """Store every finished cell of a results folder as a baseline; returns how many. Raises StoreError."""
    cells = {}
    for record in store.records():
        outcomes = outcomes_of(record, store)
        if record.status == "done" and outcomes:
            cells[record.cell.id] = PackedCell(
                label=record.cell.label,
                shifts=record.protocol.shifts,
                images={shift: len(images) for shift, images in outcomes.items()},
                metric=record.protocol.metric,
                **_packed(outcomes),
            ).to_dict()
    if not cells:
        raise StoreError(f"expected finished cells with outcomes in {store.root}, got none; make some first")
    write_output(output, to_json({"schema": BASELINE_SCHEMA, "cells": cells}))
    return len(cells)


def read_baseline(path: Path) -> dict[str, BaselineCell]:
    """Return the cells of a baseline by id. Raises StoreError, which names the file and the field."""
    data = read_json(path, FIX)
    schema = pop_schema(data, BASELINE_SCHEMA, path, FIX)
    cells = data.get("cells")
    if schema == 1 and isinstance(cells, dict):
        data["cells"] = {cell_id: _upgraded(cell) for cell_id, cell in cells.items()}
    packed: dict[str, dict[str, PackedCell]] = read_as(FILE, data, path, FIX)
    if "cells" not in packed:
        raise StoreError(f"{path}: cells: expected a value, got none; {FIX}")
    unpacked = {}
    for cell_id, cell in packed["cells"].items():
        try:
            unpacked[cell_id] = _unpacked(cell)
        except (ValueError, LookupError, zlib.error) as error:
            raise StoreError(f"{path}: cells.{cell_id}: damaged outcomes ({error}); {FIX}") from error
    return unpacked


FILE: Any = Mapping[str, Mapping[str, PackedCell]]


def _upgraded(cell: Any) -> Any:
    if not isinstance(cell, dict) or "shifts" not in cell:
        return cell
    return {**cell, "shifts": upgrade_shifts(cell["shifts"])}


def _packed(outcomes: Arrays) -> dict[str, Any]:
    """Return the fields of a cell that have its outcomes."""
    if all(images.dtype == np.bool_ for images in outcomes.values()):
        return {"correct": {s: _text(np.packbits(right)) for s, right in outcomes.items()}}
    return {"counts": {s: _text(images.astype("<u4")) for s, images in outcomes.items()}}


def _unpacked(cell: PackedCell) -> BaselineCell:
    """Return a cell with the values of its images. Raises what damaged entries raise."""
    unpack, packed = (_bits, cell.correct) if cell.correct else (_counts, cell.counts)
    metric = METRICS[cell.metric]
    if not cell.label or "id" not in packed or set(cell.shifts) != set(packed):
        raise ValueError("shifts that do not fit the outcomes")
    values = {}
    for shift, text in packed.items():
        outcome = unpack(_bytes(text), cell.images[shift])
        values[shift] = metric.values(outcome)
        if values[shift].shape != (len(outcome),):
            raise ValueError(f"outcomes of {shift} that are not those of {metric.name}")
    return BaselineCell(label=cell.label, shifts=cell.shifts, metric=metric, values=values)


def _text(array: NDArray[Any]) -> str:
    return base64.b64encode(zlib.compress(array.tobytes(), 9)).decode()


def _bytes(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


def _bits(data: bytes, n: int) -> NDArray[np.bool_]:
    bits = np.frombuffer(data, np.uint8)
    if not 0 <= 8 * len(bits) - n < 8:
        raise ValueError(f"{len(bits)} bytes for {n} images")
    return np.unpackbits(bits, count=n).astype(bool)


def _counts(data: bytes, n: int) -> NDArray[np.int64]:
    """Return intersections and unions of shape (n, 2, classes)."""
    return np.frombuffer(data, "<u4").reshape(n, 2, -1).astype(np.int64)
