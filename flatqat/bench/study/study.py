"""A study of stored records: which method wins where, at each bit-width, on a suite scored by top-1."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flatqat.bench.records.paired import metric_of, ood_shifts, outcomes_of
from flatqat.bench.records.sections import Section, names_of, row_label
from flatqat.bench.records.store import Store
from flatqat.bench.study.compare import (
    MAIN,
    Comparison,
    MethodRuns,
    comparisons,
    quantities,
)
from flatqat.errors import StoreError
from flatqat.metrics.contributions import Weights
from flatqat.spec import Record

METRIC = "top1"  # the difference of other metrics is not the mean over images of differences


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """The methods of one bit-width, the baseline first, each compared with it; full precision if stored.

    `quantities` are weights of the accuracies of the shifts; `main` compares ID, OOD and gap, `families` each
    family of shifts.
    """

    bits: str
    baseline: MethodRuns
    methods: Sequence[MethodRuns]
    reference: MethodRuns | None
    quantities: Mapping[str, Weights]
    main: Sequence[Comparison]
    families: Sequence[Comparison]

    @property
    def family_names(self) -> list[str]:
        """The families of shifts."""
        return [name for name in self.quantities if name not in MAIN]

    @property
    def shown(self) -> list[MethodRuns]:
        """The methods, and the reference last."""
        return [*self.methods, *([self.reference] if self.reference else [])]

    def find(self, method: str, what: str) -> Comparison | None:
        """Return a comparison, or None for the baseline and for a method without a seed of the baseline's."""
        both = (*self.main, *self.families)
        return next((c for c in both if (c.method, c.what) == (method, what)), None)


def studied(sections: Sequence[Section], store: Store, against: str) -> list[tuple[Section, list[Study]]]:
    """Return the studies of the sections that have any. Raises StoreError if none has."""
    of_sections = [(section, studies(section, store, against)) for section in sections]
    if with_studies := [(section, members) for section, members in of_sections if members]:
        return with_studies
    rows = dict.fromkeys(row_label(key) for section in sections for key in section.rows)
    expected = f"expected a quantized method {against!r} and another of the same bits"
    fix = "name a method that has another at its bits with --against METHOD"
    got = f"the rows {', '.join(rows)}" if rows else "no row with a finished cell"
    raise StoreError(f"{store.root}: {expected}, got {got}; {fix if rows else 'run them first'}")


def studies(section: Section, store: Store, against: str) -> list[Study]:
    """Return a study for each bit-width that has the method `against` and another.

    Raises StoreError if runs are not scored by top-1, or the outcomes of their images are not stored.
    """
    rows: dict[str, list[MethodRuns]] = {}
    reference = None
    for (method, bits), records in section.rows.items():
        runs = _runs(method, records, store)
        if records[0].protocol.reference:
            reference = reference or runs
        else:
            rows.setdefault(bits, []).append(runs)
    by_bits = []
    for bits, members in rows.items():
        baseline = [runs for runs in members if against in names_of(runs.method)]
        if baseline and len(members) > 1:
            others = [runs for runs in members if against not in names_of(runs.method)]
            by_bits.append(_study(bits, [*baseline, *others], reference))
    return by_bits


def _runs(method: str, records: Sequence[Record], store: Store) -> MethodRuns:
    right = {}
    for record in records:
        if (metric := metric_of(record).name) != METRIC:
            got = f"{metric}; leave it out with --suite, or use --format md"
            raise StoreError(f"{record.cell.label}: a study expects a suite scored by {METRIC}, got {got}")
        if not ood_shifts(record):
            raise StoreError(f"{record.cell.label}: a study expects shifts that count in the mean, got none")
        right[record.cell.seed] = outcomes_of(record, store)
        if not right[record.cell.seed]:
            path = store.outcomes_path(record.cell)
            raise StoreError(f"{path}: a study expects the outcome of every image, got none; run it again")
    return MethodRuns(method=method, records={r.cell.seed: r for r in records}, right=right)


def _study(bits: str, methods: list[MethodRuns], reference: MethodRuns | None) -> Study:
    baseline = methods[0]
    weights = quantities(next(iter(baseline.records.values())))
    families = [name for name in weights if name not in MAIN]
    return Study(
        bits=bits,
        baseline=baseline,
        methods=methods,
        reference=reference,
        quantities=weights,
        main=comparisons(methods, reference, {name: weights[name] for name in MAIN}),
        families=comparisons(methods, reference, {name: weights[name] for name in families}),
    )
