"""What an exported file says of itself: texts of JSON under keys that begin with `flatqat.`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from flatqat import __version__
from flatqat.bench.deploy.cell import Deployable

SCHEMA = 1
"""Grows when a key changes its meaning; new keys leave it as it is."""


def metadata_of(
    cell: Deployable, layers: Mapping[str, Any], axes: Sequence[str], notes: Sequence[str]
) -> dict[str, str]:
    """Return the metadata of an exported cell, see `docs/deployment.md`."""
    record, spec = cell.record, cell.record.cell
    values = {
        "schema": SCHEMA,
        "version": __version__,
        "cell": {
            "id": spec.id,
            "label": spec.label,
            "suite": spec.suite,
            "suite_version": spec.suite_version,
            "model": spec.model,
            "method": spec.method,
            "bits": spec.bits,
            "seed": spec.seed,
        },
        "layers": layers,
        "images": _images(cell, axes),
        "protocol": {
            "suite": record.protocol.suite,
            "data": record.protocol.data,
            "recipe": spec.recipe,
            "metric": record.protocol.metric,
            "classes": cell.suite.classes,
            "class_names": list(record.protocol.class_names or cell.suite.class_names),
        },
        "weights_sha256": cell.weights_sha256,
        "notes": list(notes),
    }
    return {f"flatqat.{key}": json.dumps(value) for key, value in values.items()}


def _images(cell: Deployable, axes: Sequence[str]) -> dict[str, Any]:
    """Return what the network is to be fed, and how its images were cut when it was scored."""
    model = cell.model
    return {
        "range": [0, 1],
        "channels": "RGB",
        "any_size": list(axes),
        "mean": model.mean.flatten().tolist(),
        "std": model.std.flatten().tolist(),
        "transform": asdict(model.eval_transform) if cell.suite.sizes_vary else None,
        "window": "" if model.window is None else str(model.window),
        "preprocessing": model.preprocessing,
    }
