"""Look again at a stored cell: its flatness in any space, and what its quantizers really do."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flatqat.bench.cell.environment import choose_device, prepare
from flatqat.bench.flatness.landscape_file import LandscapeOptions, write_landscape
from flatqat.bench.plan.jobs import suite_of
from flatqat.bench.plan.request import parse_spaces
from flatqat.bench.records.record_json import readable
from flatqat.bench.records.store import Store
from flatqat.console.fitted import print_fitting
from flatqat.console.progress import progress_for
from flatqat.console.terminal import plain_table, terminal
from flatqat.errors import StoreError, UsageError
from flatqat.spec import Cell

if TYPE_CHECKING:
    import torch
    from rich.table import Table

    from flatqat.bench.cell.batches import Batch
    from flatqat.models.base import Normalized

AUDIT_IMAGES = 256
DISPENSABLE = (("levels",), ("codes",))
"""Columns of an audit that a terminal goes without where it is too narrow, in this order."""
DRAWS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatnessOptions:
    """The options of `flatqat flatness`: how a stored cell is measured.

    Code runs only of `models`, see `trusted_model`. No `measures` stand for the default ones, or for the
    picture alone, no `images` for the recipe's, and no `draws` for DRAWS.
    """

    models: tuple[str, ...]
    measures: tuple[str, ...]
    picture: LandscapeOptions | None
    space: str
    acts: bool
    images: int | None
    draws: int | None
    device: str
    threads: int


def flatness_of_cell(name: str, results: Path, data_root: Path | None, options: FlatnessOptions) -> str:
    """Return the flatness of a stored cell as JSON. Raises UsageError, or StoreError on a loss not finite."""
    from flatqat.bench.cell.halving import Sizes
    from flatqat.bench.flatness.estimators import DEFAULT, ESTIMATORS, chosen, work
    from flatqat.bench.flatness.flatness_point import evaluated_at
    from flatqat.bench.flatness.measure import flatness_of, landscape_of
    from flatqat.metrics.task import task_of

    picture, acts, draws = options.picture, options.acts, options.draws or DRAWS
    (space,) = parse_spaces((options.space,))
    names = chosen(options.measures) or (() if picture else DEFAULT)
    if options.draws and not any(ESTIMATORS[name].passes_per_draw for name in names):
        drawing = [name for name, estimator in ESTIMATORS.items() if estimator.passes_per_draw]
        got = ", ".join(names) or "none"
        raise UsageError(
            f"--draws: expected one of {', '.join(drawing)} in --measure, got {got}; leave it out"
        )
    if picture and space == "step_size":
        expected = "--landscape: expected the space 'quantized' or 'latent'"
        raise UsageError(f"{expected}, got 'step_size': no filters there")
    device = choose_device(options.device)
    prepare(device, options.threads)
    cell, model, batches = _restored(name, results, data_root, options.images, device, options.models)
    progress = progress_for(terminal(stderr=True))
    used = sum(len(labels) for _, labels in batches)
    if options.images and used != options.images:
        part = f"whole parts of {len(batches[0][1])}" if len(batches) > 1 else "all there are in one part"
        progress.say(f"{used:,} images instead of {options.images:,}: {part}")
    passes = work(names, draws) + (picture.points**2 if picture else 0)
    moved: dict[str, Any] = {"space": space, "acts": acts, "loss": task_of(model.task).loss}

    def measured(chunk: int) -> dict[str, Any]:
        at: dict[str, Any] = {**moved, "chunk": chunk}
        with progress.task(f"flatness {cell.label}", passes) as advance:
            found = flatness_of(model, batches, cell, measures=names, draws=draws, advance=advance, **at)
            found = {"cell": cell.label} | found
            if picture:
                with evaluated_at(model, batches, cell, **at) as point:
                    surface = landscape_of(point, picture, advance)
                found |= write_landscape(surface, found, picture)
        return found

    try:
        found = Sizes().halved(measured, f"flatness {cell.label}", len(batches[0][1]), progress.say)
    except FloatingPointError as error:
        hint = "try a smaller --span" if picture else "there is nothing to measure"
        raise StoreError(f"cell {cell.label}: {error}; {hint}") from error
    return readable(found)


def audit_cell(name: str, results: Path, data_root: Path | None, models: tuple[str, ...] = ()) -> None:
    """Print the audit of a stored cell on one batch of training images; code runs only of `models`."""
    from flatqat.quant.audit import audit

    cell, model, ((images, _), *_) = _restored(name, results, data_root, AUDIT_IMAGES, "cpu", models)
    rows = audit(model.net, model.normalize(images))
    columns = ("layer", "tensor", "bits", "codes", "levels", "clipped", "")
    texts = []
    for row in rows:
        counts = (str(row.bits), str(row.codes), str(row.levels), f"{row.clipped:.2f}%")
        texts.append((row.layer, row.tensor, *(("-",) * 4 if row.bits is None else counts), row.note))

    def table_of(kept: Sequence[int]) -> "Table":
        names = [columns[place] for place in kept]
        table = plain_table(*names, left=("layer", "tensor", ""), wrapped=("layer", ""))
        for text in texts:
            table.add_row(*(text[place] for place in kept))
        return table

    console = terminal()
    console.print(cell.label, style="bold")
    print_fitting(columns, DISPENSABLE, table_of, console)
    floating = sum(row.bits is None for row in rows)
    console.print(
        f"{len(rows) - floating} tensors quantized, {floating} in floating point. codes: the most distinct "
        "ones in any channel; clipped: values outside the grid. Sums, pooling, BatchNorm "
        "and functional calls (residual additions, attention products) compute in floating point always.",
        style="dim",
    )


def _restored(
    name: str,
    results: Path,
    data_root: Path | None,
    images: int | None,
    device: "torch.device | str",
    models: tuple[str, ...],
) -> tuple[Cell, "Normalized", list["Batch"]]:
    """Return a stored cell, its model, and `images` training images, or as many as its recipe says."""
    from flatqat.bench.cell.batches import fixed_transform
    from flatqat.bench.cell.restore import restore
    from flatqat.bench.cell.trusted import trusted_model
    from flatqat.bench.flatness.flatness_point import flatness_batches

    store = Store(results)
    record = store.find(name)
    cell, count = record.cell, images or record.protocol.recipe.flatness_images
    suite = suite_of(cell)
    named = trusted_model(cell, suite, models)
    model = restore(cell, suite, store, device, model=named, recorded=record.train.weights)
    view = fixed_transform(suite, model.eval_transform)
    return cell, model, flatness_batches(cell, suite.train(data_root), count, device, view=view)
