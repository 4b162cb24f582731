"""A cell as the gate sees it, wherever it is stored: in a results folder or in a baseline."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from flatqat.bench.gate.weights import weights_digest
from flatqat.bench.records.named import results_option
from flatqat.bench.records.paired import draws_images, metric_of, outcomes_of
from flatqat.bench.records.store import Store
from flatqat.errors import StoreError, found
from flatqat.metrics.metric import METRICS, Metric
from flatqat.metrics.stacked import Stacked
from flatqat.spec import Cell, Environment, Record, ShiftInfo


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run:
    """One training run, and what its metric has of every image.

    Attributes:
        cell: Its cell.
        values: Returns the metric's value of each image by shift, a fraction; see `Metric.values`.
        weights: Returns the digest of the weights that are evaluated; None if they are not stored.
        reason: Why it is not finished; empty where it is. It has nothing of what follows then.
        shifts: The scored sets by name.
        metric: The suite's metric.
        data: The fingerprint of the data on disk.
        nested: Whether every seed draws its own images.
        scored_in: Where its sets were scored, `id` first; empty if that is not known.
        trained_in: Where it was trained; empty if that is not known.
        identified: Whether `cell` is its own; if not, it is that of the results which has its role.
        file: Its file of outcomes; empty in a baseline.
        age: When it was last run, and when its file was written; the larger, the newer.
    """

    cell: Cell
    values: Callable[[], Stacked]
    weights: Callable[[], str | None]
    reason: str = ""
    shifts: Mapping[str, ShiftInfo] = field(default_factory=dict)
    metric: Metric = METRICS["top1"]
    data: str = ""
    nested: bool = False
    scored_in: Sequence[Environment] = ()
    trained_in: Sequence[Environment] = ()
    identified: bool = True
    file: str = ""
    age: tuple[str, int] = ("", 0)

    @classmethod
    def of(cls, record: Record, store: Store) -> "Run":
        """Return the run of a stored record."""

        def values() -> Stacked:
            return outcomes_of(record, store).mapped(metric_of(record).values)

        is_done = record.status == "done"
        return cls(
            cell=record.cell,
            values=values,
            weights=lambda: weights_digest(record, store),
            reason="" if is_done else f"{record.status}: {record.reason}",
            shifts=record.protocol.shifts,
            metric=metric_of(record),
            data=record.protocol.data,
            nested=draws_images(record),
            scored_in=record.scored_in if is_done else (),
            trained_in=[record.train.env or record.env] if is_done else (),
            file=str(store.outcomes_path(record.cell)),
            age=(record.last_run, store.record_path(record.cell).stat().st_mtime_ns),
        )


def runs_in(store: Store) -> list[Run]:
    """Return the runs of all records of a results folder. Raises StoreError if there is none."""
    if not store.root.is_dir():
        problem = f"results folder {store.root}: expected a folder, found {found(store.root)}"
        make = f"make one with: flatqat bench run{results_option(store.root)}"
        raise StoreError(f"{problem}; {make}, or name another with --results")
    return [Run.of(record, store) for record in store.records()]
