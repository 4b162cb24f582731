"""The tax of low bits: each method minus full precision on every set, with its 95% interval."""

from collections.abc import Mapping, Sequence

from flatqat.bench.records.paired import (
    Runs,
    SharesBySeed,
    differences,
    mean_weights,
    ood_shifts,
    shares_by_seed,
)
from flatqat.bench.records.sections import RowKey, Section, row_label
from flatqat.bench.records.store import Store
from flatqat.bench.report.by_shift import Column
from flatqat.metrics.contributions import Weights, equal_weights
from flatqat.metrics.estimate import Estimate
from flatqat.metrics.stacked import Stacked
from flatqat.spec import Record

Taxes = Mapping[str, Mapping[RowKey, Estimate]]
"""By set, in the order of `quantities`, and by (method, bits)."""
ID, OOD = "ID", "OOD"


def taxes(section: Section, store: Store) -> Taxes:
    """Return each method minus the reference, in points of the suite's metric, on each of `quantities`.

    The scatter over seeds is pooled over the methods of a section, as that of the extra gap is, see
    `differences`. Nothing without a reference, or where the outcomes of a set are not stored.
    """
    reference = section.reference
    if reference is None:
        return {}
    record = section.rows[reference][0]
    values = {key: Runs.of(records, store).values for key, records in section.rows.items()}
    found = {}
    for name, weights in quantities(record).items():
        shares = {key: _shares(record, of_row, weights) for key, of_row in values.items()}
        found[name] = differences([shares], reference)
    return found


def ood_taxes(members: Sequence[Section], store: Store) -> Mapping[RowKey, Estimate]:
    """Return each method minus the reference in OOD, the mean over members, of methods that all have."""
    reference = members[0].reference
    shared = [key for key in members[0].rows if all(key in member.rows for member in members)]
    if reference not in shared:
        return {}
    suites = []
    for member in members:
        runs = {key: Runs.of(member.rows[key], store) for key in shared}
        suites.append({key: of_row.shares(mean_weights(of_row.record)) for key, of_row in runs.items()})
    return differences(suites, reference)


def quantities(record: Record) -> dict[str, Weights]:
    """Return ID, OOD, each corruption over its severities, and each shift, as weights of shifts."""
    shifts = [shift for shift in record.protocol.shifts if shift not in ("id", "val")]
    return {
        ID: {"id": 1.0},
        **({OOD: mean_weights(record)} if ood_shifts(record) else {}),
        **{name: equal_weights(members) for name, members in by_corruption(record).items()},
        **{shift: {shift: 1.0} for shift in shifts},
    }


def by_corruption(record: Record) -> dict[str, list[str]]:
    """Return the shifts that have a severity, by what they have beside it."""
    corruptions: dict[str, list[str]] = {}
    for shift, info in record.protocol.shifts.items():
        if info.severity is not None:
            corruptions.setdefault(corruption_of(shift), []).append(shift)
    return corruptions


def corruption_of(shift: str) -> str:
    """Return the name of a shift without its severity."""
    return shift.partition("/")[0]


def tax_columns(section: Section, found: Taxes) -> dict[str, Column]:
    """Return taxes as `shift_columns` returns scores: a column for each method, followed by its ends."""
    columns: dict[str, Column] = {}
    for key in section.rows:
        if key != section.reference:
            of_row = {name: estimates[key] for name, estimates in found.items() if key in estimates}
            label = row_label(key)
            columns[label] = {name: one.value for name, one in of_row.items()}
            columns[f"{label} low"] = {name: one.low for name, one in of_row.items()}
            columns[f"{label} high"] = {name: one.high for name, one in of_row.items()}
    return columns


def _shares(record: Record, runs: Mapping[int, Stacked], weights: Weights) -> SharesBySeed:
    """Return what images contribute; nothing of a run that lacks a shift."""
    whole = {seed: run if all(shift in run for shift in weights) else {} for seed, run in runs.items()}
    return shares_by_seed(record, whole, weights)
