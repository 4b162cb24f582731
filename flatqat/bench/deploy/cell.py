"""A stored cell as what is to be deployed: its network, the images that it takes, and where it comes from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from flatqat.bench.cell.adapted import check_not_adapted
from flatqat.bench.cell.cell_cost import image_size
from flatqat.bench.cell.restore import restore
from flatqat.bench.cell.trusted import trusted_model
from flatqat.bench.plan.jobs import suite_of
from flatqat.bench.records.store import Store
from flatqat.errors import UsageError
from flatqat.models.base import Normalized
from flatqat.spec import Record
from flatqat.suite import Suite


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployable:
    """A stored cell with its restored network.

    Attributes:
        record: What the store says of it.
        suite: Its suite, or the member that it belongs to.
        model: The quantized network, in eval mode on the CPU.
        weights_sha256: The hash of its stored weights.
        results: The folder that it is stored in.
    """

    record: Record
    suite: Suite
    model: Normalized
    weights_sha256: str
    results: Path = Path("results")


def deployable(name: str, results: Path, models: Sequence[str] = ()) -> Deployable:
    """Return the cell whose id or label begins with `name`; its code runs only of `models`.

    Raises UsageError if it is in floating point or was adapted, and StoreError as `Store.find`,
    `trusted_model` and `restore` do.
    """
    store = Store(results)
    record = store.find(name)
    cell = record.cell
    check_not_adapted(cell)
    if cell.quant_spec.is_fp:
        got = "one in floating point, which has no codes to export"
        raise UsageError(f"cell {cell.label}: expected a quantized one, got {got}; name another")
    suite = suite_of(cell)
    named = trusted_model(cell, suite, models)
    model = restore(cell, suite, store, model=named, recorded=record.train.weights)
    return Deployable(
        record=record,
        suite=suite,
        model=model,
        weights_sha256=store.weights_sha256(cell),
        results=results,
    )


def example_images(cell: Deployable, data_root: Path | None) -> Tensor:
    """Return two images in [0, 1] of a size at which the network is scored.

    They are random, and of the suite's data only the size is read where nothing else tells it. Raises
    DataError if that is missing.
    """
    height, width = _size(cell, data_root)
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))


def _size(cell: Deployable, data_root: Path | None) -> tuple[int, int]:
    window = cell.model.window
    return (window.height, window.width) if window else image_size(cell.model, cell.suite, data_root)
