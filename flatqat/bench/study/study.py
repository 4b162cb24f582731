"""A study: at some bits a baseline and other methods, who wins where, out of what is stored.

Everything is asked for each bit-width apart. Of suites that are scored by top-1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flatqat.bench.records.paired import metric_of, outcomes_of
from flatqat.bench.records.sections import Section
from flatqat.bench.records.store import Store
from flatqat.bench.study.compare import MAIN, Comparison, Runs, Weights, comparisons, intervals_of, quantities
from flatqat.errors import StoreError
from flatqat.spec import Record

METRIC = "top1"  # a difference of others is no mean over images of differences


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """One bit-width: the baseline first among `methods`, the reference (full precision) if it is stored.

    `main` compares ID, OOD and gap, `families` each family of shifts, in the order of the methods.
    """

    bits: str
    baseline: Runs
    methods: Sequence[Runs]
    reference: Runs | None
    quantities: Mapping[str, Weights]
    main: Sequence[Comparison]
    families: Sequence[Comparison]

    @property
    def family_names(self) -> list[str]:
        return [name for name in self.quantities if name not in MAIN]

    @property
    def shown(self) -> list[Runs]:
        """The methods, then the reference."""
        return [*self.methods, *([self.reference] if self.reference else [])]

    def find(self, method: str, what: str) -> Comparison | None:
        """None for the baseline itself, and without a seed that both have."""
        both = (*self.main, *self.families)
        return next((c for c in both if (c.method, c.what) == (method, what)), None)


def studied(found: Sequence[Section], store: Store, against: str) -> list[tuple[Section, list[Study]]]:
    """The sections that have the method `against` and another of its bits; StoreError where none has."""
    whole = [(section, studies(section, store, against)) for section in found]
    if kept := [(section, members) for section, members in whole if members]:
        return kept
    there = dict.fromkeys(f"{method} {bits}" for section in found for method, bits in section.rows)
    raise StoreError(
        f"{store.root}: expected the method {against!r} and another of the same bits, got "
        f"{', '.join(there) or 'none that is done'}; name one that is there with --against"
    )


def studies(section: Section, store: Store, against: str) -> list[Study]:
    """One for each bit-width that has the method `against` and another.

    Raises StoreError where runs are not scored by top-1, or the outcomes of their images are not stored.
    """
    rows: dict[str, list[Runs]] = {}
    reference = None
    for (method, bits), records in section.rows.items():
        runs = _runs(method, records, store)
        if records[0].protocol["reference"]:
            reference = reference or runs
        else:
            rows.setdefault(bits, []).append(runs)
    found = []
    for bits, members in rows.items():
        baseline = next((runs for runs in members if runs.method == against), None)
        if baseline and len(members) > 1:
            methods = [baseline, *(runs for runs in members if runs is not baseline)]
            found.append(_study(bits, methods, reference))
    return found


def _runs(method: str, records: Sequence[Record], store: Store) -> Runs:
    right = {}
    for record in records:
        if (measure := metric_of(record)).name != METRIC:
            raise StoreError(
                f"{record.cell.label}: a study expects a suite scored by {METRIC}, got {measure.name}; "
                "leave it out with --suite, or use --format md"
            )
        right[record.cell.seed] = outcomes_of(record, store)
        if not right[record.cell.seed]:
            path = store.outcomes_path(record.cell)
            raise StoreError(f"{path}: a study expects the outcome of every image, got none; run it again")
    return Runs(method=method, records={r.cell.seed: r for r in records}, right=right)


def _study(bits: str, methods: list[Runs], reference: Runs | None) -> Study:
    baseline = methods[0]
    weights = quantities(next(iter(baseline.records.values())))
    others = [*methods[1:], *([reference] if reference else [])]
    intervals = intervals_of(baseline, others, weights)
    families = [name for name in weights if name not in MAIN]
    return Study(
        bits=bits,
        baseline=baseline,
        methods=methods,
        reference=reference,
        quantities=weights,
        main=comparisons(methods, {name: weights[name] for name in MAIN}, intervals),
        families=comparisons(methods, {name: weights[name] for name in families}, intervals),
    )
