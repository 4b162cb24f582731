"""Two folders of results: cells of one role, compared as the gate compares them with a baseline.

Trainings of the two folders count as independent, even those of one seed: other code, threads or machines
make a training another one.
"""

from flatqat.bench.diff.difference import Diff, Difference, Part
from flatqat.bench.gate.compare import Row, Rules
from flatqat.bench.gate.compared import compare_all
from flatqat.bench.gate.run import runs_in
from flatqat.bench.gate.series import newest, series_of
from flatqat.bench.gate.shift_groups import By
from flatqat.bench.records.store import Store

RULES = Rules(retraining_sd=0.0)  # nothing is assumed of a single training


def diff_of_folders(a: Store, b: Store, by: By) -> Diff:
    """Return the differences of all cells that two folders have. Raises StoreError on a damaged one."""
    before, now = (newest(runs_in(store)) for store in (a, b))
    done = [run for run in before if not run.reason]
    of_a, of_b = (f"{name} ({store.root})" for name, store in (("A", a), ("B", b)))
    compared = compare_all(series_of(done), series_of(now), RULES, by=by, same_data=True, where=of_b)
    failed = {run.cell.label: f"{run.reason} in {of_a}" for run in before if run.reason}
    only_in_b = [name for name in compared.extra if not failed.keys() >= {*compared.labels[name]}]
    missing = [*failed.items(), *compared.not_compared, *((name, f"not in {of_a}") for name in only_in_b)]
    part = Part(
        title=compared.title,
        rows=[_difference(row) for row in compared.rows],
        missing=missing,
        differs=compared.differences,
    )
    return Diff(a=str(a.root), b=str(b.root), parts=[part])


def _difference(row: Row) -> Difference:
    return Difference(
        cell=row.cell,
        what=row.what,
        a=row.before,
        b=row.now,
        estimate=row.estimate,
        seeds=(row.seeds_before, row.seeds_now),
        identical=row.identical,
    )
