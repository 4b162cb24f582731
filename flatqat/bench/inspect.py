"""Look again at a stored cell: its flatness in any space, and what its quantizers really do."""

import json
from pathlib import Path

from flatqat.bench.env import choose_device, prepare
from flatqat.bench.plan import members
from flatqat.bench.progress import progress_for
from flatqat.bench.store import Store
from flatqat.bench.terminal import plain_table, terminal
from flatqat.errors import StoreError, unknown
from flatqat.spec import Record
from flatqat.suite import Suite


def flatness_of_cell(
    name: str,
    results: Path,
    data_root: Path | None,
    space: str,
    acts: bool,
    images: int | None,
    draws: int,
    device: str,
    threads: int,
) -> str:
    """Measure a stored cell and return JSON. Raises UsageError on an unknown space."""
    from flatqat.bench import measure
    from flatqat.bench.restore import restore

    chosen = next((known for known in measure.SPACES if known == space), None)
    if chosen is None:
        raise unknown("space", space, measure.SPACES)
    store = Store(results)
    record, suite = _find(store, name)
    on = choose_device(device)
    prepare(on, threads)
    model = restore(record.cell, suite, store, on)
    count = images or record.protocol["budget"]["flatness_images"]
    batches = measure.flatness_batches(record.cell, suite.train(data_root), count, on, frame=model.frame)
    progress = progress_for(terminal(stderr=True))
    with progress.task(f"flatness {record.cell.label}", measure.work(draws)) as advance:
        found = measure.flatness_of(
            model, batches, record.cell, space=chosen, acts=acts, draws=draws, advance=advance
        )
    return json.dumps({"cell": record.cell.label, **found}, indent=2)


def audit_cell(name: str, results: Path, data_root: Path | None) -> None:
    """Print the audit of a stored cell on one batch of training images."""
    from flatqat.bench.measure import flatness_batches
    from flatqat.bench.restore import restore
    from flatqat.quant._audit import audit

    store = Store(results)
    record, suite = _find(store, name)
    model = restore(record.cell, suite, store)
    ((images, _), *_) = flatness_batches(record.cell, suite.train(data_root), 256, "cpu", frame=model.frame)
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
            counts = (str(row.bits), str(row.codes), str(row.levels), f"{row.saturated:.2f}%")
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
    if record.status != "done":
        raise StoreError(
            f"cell {record.cell.label}: expected a finished one, got {record.status}: {record.reason}"
        )
    (suite,) = members(record.cell.suite, record.cell.seed)
    return record, suite
