"""Look again at a stored cell: its flatness in any space, and what its quantizers really do."""

from collections.abc import Sequence
from pathlib import Path

from flatqat.bench.cell.environment import choose_device, prepare
from flatqat.bench.flatness.landscape_file import LandscapeOptions, write_landscape
from flatqat.bench.plan.jobs import members
from flatqat.bench.plan.request import parse_spaces
from flatqat.bench.records.record_json import readable
from flatqat.bench.records.store import Store
from flatqat.console.progress import progress_for
from flatqat.console.terminal import plain_table, terminal
from flatqat.errors import StoreError, UsageError
from flatqat.spec import Record
from flatqat.suite import Suite


def flatness_of_cell(
    name: str,
    results: Path,
    data_root: Path | None,
    *,
    measures: Sequence[str],
    picture: LandscapeOptions | None,
    space: str,
    acts: bool,
    images: int | None,
    draws: int,
    device: str,
    threads: int,
) -> str:
    """Measure a stored cell and return JSON. No `measures` stand for the default, or for the picture alone.

    Raises UsageError on an unknown space or measure, StoreError when a loss is not finite.
    """
    from flatqat.bench.cell.batches import fixed_transform
    from flatqat.bench.cell.restore import restore
    from flatqat.bench.flatness import measure
    from flatqat.bench.flatness.estimators import DEFAULT, chosen, work
    from flatqat.bench.flatness.flatness_point import flatness_batches
    from flatqat.metrics.task import task_of

    (at,) = parse_spaces((space,))
    names = chosen(measures) or (() if picture else DEFAULT)
    if picture and at == "step_size":
        raise UsageError(
            "--landscape: expected the space 'quantized' or 'latent', got 'step_size': no filters there"
        )
    store = Store(results)
    record, suite = _find(store, name)
    on = choose_device(device)
    prepare(on, threads)
    model = restore(record.cell, suite, store, on)
    count = images or record.protocol.recipe.flatness_images
    view, loss = fixed_transform(suite, model.eval_transform), task_of(suite.task).loss
    batches = flatness_batches(record.cell, suite.train(data_root), count, on, view=view)
    passes = work(names, draws) + (picture.points**2 if picture else 0)
    try:
        with progress_for(terminal(stderr=True)).task(f"flatness {record.cell.label}", passes) as advance:
            found = measure.flatness_of(
                model,
                batches,
                record.cell,
                measures=names,
                space=at,
                acts=acts,
                draws=draws,
                loss=loss,
                advance=advance,
            )
            found = {"cell": record.cell.label, **found}
            if picture:
                surface = measure.landscape_of(
                    model, batches, record.cell, picture, space=at, acts=acts, loss=loss, advance=advance
                )
                found |= write_landscape(surface, found, picture)
    except FloatingPointError as error:
        hint = "try a smaller --span" if picture else "there is nothing to measure"
        raise StoreError(f"cell {record.cell.label}: {error}; {hint}") from error
    return readable(found)


def audit_cell(name: str, results: Path, data_root: Path | None) -> None:
    """Print the audit of a stored cell on one batch of training images."""
    from flatqat.bench.cell.batches import fixed_transform
    from flatqat.bench.cell.restore import restore
    from flatqat.bench.flatness.flatness_point import flatness_batches
    from flatqat.quant.audit import audit

    store = Store(results)
    record, suite = _find(store, name)
    model = restore(record.cell, suite, store)
    view = fixed_transform(suite, model.eval_transform)
    ((images, _), *_) = flatness_batches(record.cell, suite.train(data_root), 256, "cpu", view=view)
    rows = audit(model.net, model.normalize(images))
    table = plain_table(
        "layer",
        "tensor",
        "bits",
        "codes",
        "levels",
        "clipped",
        "",
        left=("layer", "tensor", ""),
        wrapped=("layer", ""),
    )
    for row in rows:
        if row.bits is None:
            table.add_row(row.layer, row.tensor, "-", "-", "-", "-", row.note)
        else:
            counts = (str(row.bits), str(row.codes), str(row.levels), f"{row.clipped:.2f}%")
            table.add_row(row.layer, row.tensor, *counts, "")
    console = terminal()
    console.print(record.cell.label, style="bold", highlight=False)
    console.print(table)
    floating = sum(row.bits is None for row in rows)
    console.print(
        f"{len(rows) - floating} tensors quantized, {floating} in floating point. codes: the most distinct "
        "ones in any channel; clipped: values outside the grid. Sums, pooling, BatchNorm "
        "and functional calls (residual additions, attention products) compute in floating point always.",
        style="dim",
        highlight=False,
    )


def _find(store: Store, name: str) -> tuple[Record, Suite]:
    record = store.find(name)
    (suite,) = members(record.cell.suite, record.cell.seed)
    return record, suite
