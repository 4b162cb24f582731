"""A stored cell, ready to be measured with other bits."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import torch

from flatqat.bench.cell.adapted import check_not_adapted
from flatqat.bench.cell.batches import fixed_batches
from flatqat.bench.cell.cell_cost import cost_of
from flatqat.bench.cell.restore import restore
from flatqat.bench.cell.same_images import check_same_images
from flatqat.bench.cell.trusted import trusted_model
from flatqat.bench.plan.jobs import Job, suite_of
from flatqat.bench.records.store import Store
from flatqat.bench.sensitivity.stored import StoredMeasurements
from flatqat.bench.sensitivity.switches import Switches
from flatqat.errors import unknown
from flatqat.quant.base import PERCENTILE, RANGES
from flatqat.quant.layer_cost import LayerCost
from flatqat.spec import Record
from flatqat.suite import Suite


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A cell with its network, the cost of each layer, and what is kept of earlier commands."""

    record: Record
    suite: Suite
    root: Path | None
    switches: Switches
    costs: Mapping[str, LayerCost]
    kept: StoredMeasurements

    def observe(self) -> None:
        """Calibrate as `ptq` does: on the images that are the same for every method of this cell's seed."""
        recipe, cell, model = self.record.protocol.recipe, self.record.cell, self.switches.model
        job = Job(cell=cell, suite=self.suite, quant=cell.quant_spec, recipe=recipe, config=None, parent=None)
        device, data = model.mean.device, self.suite.train(self.root)
        batches = fixed_batches(
            job, data, "calibration", recipe.calibration_batches, device, model.eval_transform
        )
        self.switches.observe(images for images, _ in batches)

    def units(self, patterns: tuple[str, ...]) -> list[str]:
        """Return the units with a layer that a pattern names, all without one. Raises UsageError."""
        units = self.switches.units
        for pattern in patterns:
            if not any(fnmatch(name, pattern) for name in self.switches.layers):
                raise unknown("layer", pattern, self.switches.layers)
        named = {unit for unit, ns in units.items() if any(fnmatch(n, p) for n in ns for p in patterns)}
        return [unit for unit in units if unit in named or not patterns]


def open_cell(
    name: str, results: Path, root: Path | None, models: tuple[str, ...], device: torch.device
) -> Opened:
    """Restore a stored cell.

    Raises StoreError if there is none or its weights are gone, UsageError if it was adapted, and DataError if
    the images are others than those of the results folder.
    """
    store = Store(results)
    record = store.find(name)
    check_not_adapted(record.cell)
    suite = suite_of(record.cell).on_disk(root)
    named = trusted_model(record.cell, suite, models)
    images = check_same_images(suite, root, store)
    costs = cost_of(record.cell, suite, root, device, model=named).layers
    model = restore(record.cell, suite, store, device, model=named, recorded=record.train.weights)
    method = record.protocol.method
    ranges, percentile = method.get("ranges", RANGES), method.get("percentile", PERCENTILE)
    protocol = {
        "data": images,  # those of now, as a folder may lack the fingerprint of those of then
        "weights": store.weights_sha256(record.cell),
        "ranges": ranges,
        "percentile": percentile,
        "calibration_images": record.protocol.recipe.calibration_batches * record.protocol.recipe.batch_size,
    }
    return Opened(
        record=record,
        suite=suite,
        root=root,
        switches=Switches(model, ranges, percentile),
        costs=costs,
        kept=StoredMeasurements(store=store, cell=record.cell, protocol=protocol),
    )
