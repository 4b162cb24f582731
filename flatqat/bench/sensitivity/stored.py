"""What was measured of a cell, kept in the results folder: an interrupted command goes on where it was.

    RESULTS/sensitivity/<label>/<set>-<kind>-<hash>.npz   of each network and image
    RESULTS/sensitivity/<label>/<hash>.json               what a command found, and how

The hash is of everything that decides the numbers, the code of quantizers included, and of the images.
Another budget, other solvers and more choices use what is there.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flatqat.bench.records.files import arrays_as_bytes, read_arrays, write_atomically
from flatqat.bench.records.record_json import readable
from flatqat.bench.records.store import Store
from flatqat.bench.sensitivity.images import ImageSet
from flatqat.bench.sensitivity.readings import Measured
from flatqat.errors import StoreError, Vanished
from flatqat.spec import Cell

VERSION = 1
DELETE = "delete it and run the command again"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMeasurements:
    """The folder of a cell. `protocol` is what decides its numbers besides images and networks."""

    store: Store
    cell: Cell
    protocol: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        """Where everything about the cell is."""
        return self.store.sensitivity_path(self.cell)

    def read(self, images: ImageSet, kind: str) -> Measured | None:
        """Return what is kept of some images and one kind of networks. Raises StoreError on damage."""
        path = self.path(images, kind)
        try:
            arrays = read_arrays(path, fix=DELETE)
        except Vanished:
            return None
        try:
            names, outcome, divergence = (arrays[name] for name in ("networks", "outcome", "divergence"))
            networks = tuple(json.loads(str(names)))
            shapes = {outcome.shape[:2], divergence.shape}
            if shapes != {(len(networks), len(images.data))}:
                raise ValueError(f"arrays of shapes {shapes}")
        except (KeyError, ValueError, TypeError) as error:
            got = f"others ({error}); {DELETE}"
            raise StoreError(f"{path}: expected what was measured of {images.name}, got {got}") from error
        return Measured(networks=networks, outcome=outcome, divergence=divergence)

    def add(self, images: ImageSet, kind: str, measured: Measured) -> Measured:
        """Keep what was measured beside what is there, whoever has added it meanwhile; returns both."""
        before = self.read(images, kind)
        both = joined(before, measured) if before else measured
        arrays = {
            "networks": np.array(json.dumps(both.networks)),
            "outcome": both.outcome,
            "divergence": both.divergence,
        }
        write_atomically(self.path(images, kind), arrays_as_bytes(arrays))
        return both

    def write(self, found: Mapping[str, Any], options: Mapping[str, Any]) -> Path:
        """Write what a command with some options found; returns where."""
        path = self.folder / f"{_digest([self.protocol, options])}.json"
        write_atomically(path, (readable(found) + "\n").encode())
        return path

    def path(self, images: ImageSet, kind: str) -> Path:
        """Return where some images and one kind of networks are kept."""
        data = images.data
        seen = hashlib.sha256(data.ids.numpy().tobytes())
        if data.labels is not None:
            seen.update(data.labels.numpy().tobytes())
        key = _digest(
            [VERSION, self.cell.id, self.protocol, images.name, images.image_set, seen.hexdigest(), kind]
        )
        name = re.sub(r"[^\w.-]", "_", f"{images.name}-{kind}")[:100]
        return self.folder / f"{name}-{key}.npz"


def joined(first: Measured, second: Measured) -> Measured:
    """Return the networks of both, those of the second where both have one."""
    kept = [i for i, name in enumerate(first.networks) if name not in second.networks]
    return Measured(
        networks=(*(first.networks[i] for i in kept), *second.networks),
        outcome=np.concatenate([first.outcome[kept], second.outcome]),
        divergence=np.concatenate([first.divergence[kept], second.divergence]),
    )


def taken(measured: Measured, names: Sequence[str]) -> Measured:
    """Return some networks, in this order."""
    places = [measured.networks.index(name) for name in names]
    return Measured(
        networks=tuple(names), outcome=measured.outcome[places], divergence=measured.divergence[places]
    )


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
