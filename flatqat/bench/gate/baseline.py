"""The file that the gate compares with: of every finished cell, what its metric needs of each image.

Where that is top-1 one bit an image, right or wrong; where it is mIoU the intersections and unions of the
classes, unsigned integers of 32 bits. Compressed, as text in JSON.
"""

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatqat.bench.records.paired import metric_of, outcomes_of
from flatqat.bench.records.record_json import to_json
from flatqat.bench.records.schema_1 import upgrade_shifts
from flatqat.bench.records.store import Arrays, Store, write_atomically
from flatqat.errors import StoreError
from flatqat.metrics.metric import METRICS, Metric

BASELINE_SCHEMA = 2


def write_baseline(store: Store, output: Path) -> int:
    """Store every finished cell of a results folder as a baseline; returns how many. Raises StoreError."""
    cells = {}
    for record in store.records():
        outcomes = outcomes_of(record, store)
        if record.status == "done" and outcomes:
            cells[record.cell.id] = {
                "label": record.cell.label,
                "shifts": record.protocol["shifts"],
                "images": {shift: len(images) for shift, images in outcomes.items()},
                **_packed(metric_of(record), outcomes),
            }
    if not cells:
        raise StoreError(f"expected finished cells with outcomes in {store.root}, got none; make some first")
    write_atomically(output, to_json({"schema": BASELINE_SCHEMA, "cells": cells}))
    return len(cells)


def read_baseline(path: Path) -> dict[str, Any]:
    """The cells of a baseline, each with its `metric` and the `values` of its images. Raises StoreError."""
    expected = f"baseline {path}: expected a file made by 'flatqat bench baseline'"
    try:
        data = json.loads(path.read_bytes())
        if data["schema"] > BASELINE_SCHEMA:
            raise StoreError(
                f"baseline {path}: expected schema {BASELINE_SCHEMA} or older, got {data['schema']}; "
                "update flatqat"
            )
        cells = {cell_id: _unpacked(cell) for cell_id, cell in data["cells"].items()}
        for cell in cells.values():
            if data["schema"] == 1:
                cell["shifts"] = upgrade_shifts(cell["shifts"])
            there = set(cell["values"])
            if not cell["label"] or "id" not in there or set(cell["shifts"]) != there:
                raise ValueError("shifts that do not fit the outcomes")
            for about in cell["shifts"].values():
                about["in_mean"], about["family"], about["image_set"]
        return cells
    except OSError as error:
        raise StoreError(f"{expected}, got: {error.strerror}; make one, or check --baseline") from error
    except (ValueError, LookupError, TypeError, AttributeError, zlib.error) as error:
        cause = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise StoreError(f"{expected}, got a damaged one ({cause}); restore it, or make it anew") from error


def _packed(measure: Metric, outcomes: Arrays) -> dict[str, Any]:
    """The entries of a cell that hold its outcomes."""
    if all(images.dtype == np.bool_ for images in outcomes.values()):
        return {"correct": {s: _text(np.packbits(right)) for s, right in outcomes.items()}}
    counts = {s: _text(images.astype("<u4")) for s, images in outcomes.items()}
    return {"metric": measure.name, "counts": counts}


def _unpacked(cell: dict[str, Any]) -> dict[str, Any]:
    """A cell with the per-image values of its metric, shift by shift. Raises what damaged entries raise."""
    unpack, packed = (_bits, cell["correct"]) if "correct" in cell else (_counts, cell["counts"])
    measure = METRICS[cell.get("metric", "top1")]
    values = {}
    for shift, text in packed.items():
        outcome = unpack(_bytes(text), cell["images"][shift])
        values[shift] = measure.values(outcome)
        if values[shift].shape != (len(outcome),):
            raise ValueError(f"outcomes of {shift} that are not those of {measure.name}")
    return {**cell, "metric": measure.name, "values": values}


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
    """(n, 2, classes)"""
    return np.frombuffer(data, "<u4").reshape(n, 2, -1).astype(np.int64)
