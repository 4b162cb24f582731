"""The rows of the second study: stored runs by method, bits and adaptation, and differences between them."""

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from flatqat.bench.records.paired import Runs, SharesBySeed, differences, ood_shifts
from flatqat.bench.records.sections import row_key
from flatqat.bench.records.store import Store
from flatqat.bench.report.caveats import chance_of, has_collapsed
from flatqat.bench.report.tax import OOD, corruption_of, quantities
from flatqat.console.rounded import SURE_DECIMALS, with_interval
from flatqat.metrics.contributions import Weights
from flatqat.metrics.estimate import Estimate
from flatqat.metrics.holm import holm
from flatqat.spec import Cell, Record

SUITE, MODEL, LIMIT, STEPS = "cifar10-c-live-135", "cifar:resnet20", 2000, 400
BITS, SEVERITIES = ("4", "3", "2"), (1, 3, 5)
AT_ID: Weights = {"id": 1.0}


@dataclass(frozen=True, slots=True, order=True)
class Row:
    """What makes a row: the method as tables name it, the bits, what is adapted to each shift."""

    method: str
    bits: str
    adapt: str = ""


FP = Row("fp", "fp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The finished runs of one protocol, by row and seed."""

    records: Mapping[Row, Mapping[int, Record]]
    store: Store
    _read: dict[Row, Runs] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, store: Store, suite: str, wanted: Callable[[Cell], bool]) -> "Rows":
        """Find the runs of a suite that are wanted. Raises SystemExit if two are of one row and seed."""
        found: dict[Row, dict[int, Record]] = {}
        for record in store.records(suite):
            cell = record.cell
            if record.status != "done" or not wanted(cell):
                continue
            row = found.setdefault(Row(*row_key(cell), cell.adapt or ""), {})
            if cell.seed in row:
                sys.exit(f"expected one run a seed, got {row[cell.seed].cell.label} and {cell.label}")
            row[cell.seed] = record
        return cls(records=found, store=store)

    @classmethod
    def of_cifar(cls, store: Store) -> "Rows":
        """Find the runs of ResNet-20 on CIFAR-10 with the plan's common settings."""
        return cls.of(store, SUITE, _is_common)

    def seeds(self, *rows: Row) -> list[int]:
        """Return the seeds that all of these rows have."""
        return sorted(set.intersection(*(set(self.records.get(row, {})) for row in rows)))

    def runs(self, row: Row, seeds: Collection[int]) -> Runs:
        """Return the outcomes of a row, whose files are read once."""
        if row not in self._read:
            of_seeds = sorted(self.records[row].items())
            self._read[row] = Runs.of([record for _, record in of_seeds], self.store)
        assert set(seeds) <= set(self.records[row])
        return self._read[row].of_seeds(seeds)

    @property
    def record(self) -> Record:
        """The record of any run."""
        return next(iter(next(iter(self.records.values())).values()))

    @property
    def weights(self) -> Mapping[str, Weights]:
        """The weights of ID, of OOD, and by name of each corruption over its severities."""
        return quantities(self.record)

    @property
    def ood(self) -> Weights:
        """The weights of OOD."""
        return self.weights[OOD]

    @property
    def corruptions(self) -> list[str]:
        """The corruptions that count in OOD, of shifts with or without a severity."""
        return sorted({corruption_of(shift) for shift in ood_shifts(self.record)})


def _is_common(cell: Cell) -> bool:
    whole = cell.model == MODEL and cell.limit == LIMIT and not cell.amp
    return whole and dict(cell.recipe_args) == {"steps": STEPS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A row minus another over the seeds that both have."""

    row: Row
    seeds: tuple[int, ...]
    estimate: Estimate


def corrected(found: Sequence[Difference], planned: Collection[int], family: int) -> list[float | None]:
    """Return the p-values after Holm's correction over as many tests as the plan has.

    None for what lacks some of the planned seeds: it is not tested yet. Missing tests reject nothing.
    """
    whole = [set(planned) <= set(d.seeds) for d in found]
    there = [d.estimate.p for d, tested in zip(found, whole, strict=True) if tested]
    adjusted = iter(holm([*there, *[1.0] * (family - len(there))]))
    return [next(adjusted) if tested else None for tested in whole]


def mean(runs: Runs, weights: Weights) -> float:
    """Return the mean of a weighted sum over shifts, in percent."""
    components = runs.components(weights)
    assert components  # every seed has the same images
    return float(components.means[0])


def difference(base: Runs, other: Runs, weights: Weights) -> Estimate:
    """Return a row minus another in a weighted sum over shifts, by the scatter of the two."""
    return between(base.shares(weights), other.shares(weights))


def between(base: SharesBySeed, other: SharesBySeed) -> Estimate:
    """Return what `other` has more than `base`, over the seeds and images of both."""
    return differences([{"base": base, "other": other}], "base")["other"]


def minus(other: SharesBySeed, base: SharesBySeed) -> SharesBySeed:
    """Return what the images of one row contribute beyond those of another, seed by seed."""
    return {
        seed: {
            name: replace(share, values=share.values - base[seed][name].values)
            for name, share in other[seed].items()
        }
        for seed in other
    }


def collapsed(rows: Rows, row: Row) -> bool:
    """Return whether a row has collapsed in ID, as docs/measures.md defines it, on the seeds of fp and it."""
    seeds = rows.seeds(FP, row)
    fp, of_row = (mean(rows.runs(one, seeds), AT_ID) for one in (FP, row))
    return has_collapsed(of_row, fp, chance_of(rows.record))


def points(value: float) -> str:
    """Return points of top-1 with two decimals; where they are a tie, the order of a sum does not matter."""
    return f"{round(value, SURE_DECIMALS):.2f}"


def interval(estimate: Estimate) -> str:
    """Return an estimate and its 95% interval, or `identical` where no image of any seed tells two apart.

    The spread of no change is zero, but an interval of no width would claim a certainty that no number of
    images gives.
    """
    if estimate.value == estimate.low == estimate.high == 0:
        return "identical"
    return with_interval(estimate.value, estimate.low, estimate.high, "+.2f")


def in_words(seeds: Collection[int]) -> str:
    """Return `0 to 7`, `0 and 1`, or the seeds one by one where some lie apart."""
    first, last = min(seeds), max(seeds)
    if len(seeds) == 2:
        return f"{first} and {last}"
    if len(seeds) == last - first + 1 > 1:
        return f"{first} to {last}"
    return ", ".join(map(str, sorted(seeds)))
