"""What `flatqat cost` does: count what a stored cell costs, print it, and complete its record."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flatqat.bench.plan.jobs import suite_of
from flatqat.bench.records.remove import matching
from flatqat.bench.records.store import Store
from flatqat.console.fitted import print_fitting
from flatqat.console.printable import printable
from flatqat.console.terminal import plain_table, terminal
from flatqat.errors import StoreError, choose, counted, listed
from flatqat.spec import Cost, Record

if TYPE_CHECKING:
    from rich.table import Table

    from flatqat.quant.layer_cost import NetworkCost

FORMATS = ("table", "json")
MOST_LISTED = 3
COLUMNS = ("layer", "bits", "MACs", "GBOPs", "share", "bytes", "acts")
DISPENSABLE = (("acts",), ("GBOPs",), ("MACs",), ("bits",))
"""Columns that a terminal goes without where it is too narrow, in this order."""
MEANING = (
    "For one image of {} x {} pixels. bits: of weights and activations, w32a32 is floating point. GBOPs: "
    "10^9 bit operations, MACs times both bits. bytes: weights packed at their bits; others are "
    "biases, BatchNorm, step sizes. acts: bytes of input and output of a call together, each at the bits of "
    "the layer that reads it; the largest counts."
)


def show_costs(
    patterns: Sequence[str], results: Path, data_root: Path | None, form: str, models: tuple[str, ...]
) -> None:
    """Print the cost of each finished cell that a pattern names, and store it where its record has none.

    Code runs only of `models`, see `trusted_model`. Raises UsageError on an unknown format, and StoreError if
    no cell is finished.
    """
    from flatqat.bench.cell.cell_cost import network_of

    known, store = choose("format", form, FORMATS), Store(results)
    named = matching(store.records(), patterns)
    records = [record for record in named if record.status == "done"]
    if not records:
        cell = named[0]
        raise StoreError(f"cell {cell.cell.label}: expected a finished one, got {cell.status}; run it again")
    groups: dict[tuple[object, ...], list[Record]] = {}
    for record in records:
        groups.setdefault(network_of(record.cell), []).append(record)
    found = [(alike, _counted(alike[0], data_root, models)) for alike in groups.values()]
    if known == "json":
        cells = [_as_json(record, cost) for alike, cost in found for record in alike]
        terminal().file.write(json.dumps(cells, indent=2) + "\n")
    else:
        for alike, cost in found:
            _print(alike, cost)
    _complete([(record, cost.total()) for alike, cost in found for record in alike], store)


def _counted(record: Record, data_root: Path | None, models: tuple[str, ...]) -> "NetworkCost":
    from flatqat.bench.cell.cell_cost import cost_of
    from flatqat.bench.cell.trusted import trusted_model

    cell = record.cell
    suite = suite_of(cell)
    return cost_of(cell, suite, data_root, model=trusted_model(cell, suite, models))


def _complete(found: Sequence[tuple[Record, Cost]], store: Store) -> None:
    """Give each record, as it is now, the cost that it lacks; one that cannot be written stays as it is."""
    lacking = [(record.cell, cost) for record, cost in found if record.cost is None]
    if not lacking:
        return
    count, errors = 0, terminal(stderr=True)
    try:
        with store.claims() as claims:
            for cell, cost in lacking:
                with store.locked(cell, claims) as now:
                    if now and now.status == "done" and now.cost is None:
                        store.write_record(replace(now, cost=cost))
                        count += 1
    except StoreError as error:
        errors.print(f"not stored: {printable(str(error))}", soft_wrap=True)
        return
    if count:
        many = counted(count, "record")
        errors.print(f"cost stored in {many} that had none", style="dim")


def _print(alike: Sequence[Record], counted: "NetworkCost") -> None:
    from flatqat.quant.layer_cost import FLOAT_BITS, activation_bytes

    total, console = counted.total(), terminal()
    held = activation_bytes(counted.layers)
    rows = []
    for name, layer in counted.layers.items():
        bits = f"w{layer.weight_bits}a{layer.act_bits}"
        weights = f"{layer.weight_bytes:,}" if layer.weights else "shared"
        work = _work(layer.macs, layer.bops, total)
        rows.append((printable(name), bits, *work, weights, f"{held[name]:,}"))
    if counted.functional_macs:
        bops = counted.functional_macs * FLOAT_BITS**2
        work = _work(counted.functional_macs, bops, total)
        rows.append(("(functional)", f"w{FLOAT_BITS}a{FLOAT_BITS}", *work, "-", "-"))
    rows.append(("(others, float32)", "", "-", "-", "-", f"{total.other_bytes:,}", "-"))
    sums = (f"{total.size_bytes:,}", f"{total.activation_bytes:,}")
    rows.append(("total", "", *_work(total.macs, total.bops, total), *sums))

    def table_of(kept: Sequence[int]) -> "Table":
        table = plain_table(*(COLUMNS[c] for c in kept), left=("layer", "bits"), wrapped=("layer",))
        for row in rows:
            if row is rows[-1]:
                table.add_section()
            table.add_row(*(row[c] for c in kept))
        return table

    title = listed([record.cell.label for record in alike], MOST_LISTED)
    console.print(title, style="bold", soft_wrap=True)
    print_fitting(COLUMNS, DISPENSABLE, table_of, console)
    console.print(MEANING.format(*total.image), style="dim")


def _work(macs: int, bops: int, total: Cost) -> tuple[str, str, str]:
    return f"{macs:,}", f"{bops / 1e9:.3g}", f"{100 * bops / max(1, total.bops):.1f}%"


def _as_json(record: Record, counted: "NetworkCost") -> dict[str, Any]:
    from flatqat.quant.layer_cost import activation_bytes

    held = activation_bytes(counted.layers)
    layers = [
        {
            "layer": name,
            "macs": layer.macs,
            "bops": layer.bops,
            "weights": layer.weights,
            "weight_bits": layer.weight_bits,
            "act_bits": layer.act_bits,
            "direct_macs": layer.direct_macs,
            "weight_bytes": layer.weight_bytes,
            "activation_bytes": held[name],
        }
        for name, layer in counted.layers.items()
    ]
    own = {"functional_macs": counted.functional_macs, "other_values": counted.other_values}
    return {"cell": record.cell.label, **asdict(counted.total()), **own, "layers": layers}
