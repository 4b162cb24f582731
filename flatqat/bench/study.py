"""The numbers of a study, out of what is stored: who wins where, and whether flat goes with OOD.

A study is a section of records that has, at some bits, a baseline and other methods. Everything is asked for
each bit-width apart. Of suites that are scored by top-1.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatqat.bench.paired import Corrects, correct, is_nested, ood_shifts
from flatqat.bench.store import Store
from flatqat.bench.tables import Section
from flatqat.errors import StoreError
from flatqat.metrics.blocks import Contrast, contrasts
from flatqat.metrics.bootstrap import Interval, nested_bootstrap, paired_bootstrap
from flatqat.metrics.gaps import contributions
from flatqat.metrics.statistics import holm
from flatqat.spec import Record

ID, OOD, GAP = "ID", "OOD", "gap"
MAIN = (ID, OOD, GAP)
Weights = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """The runs of one method at one bit-width, by seed, and which of their images were right."""

    method: str
    records: Mapping[int, Record]
    right: Mapping[int, Corrects]

    def value(self, seed: int, weights: Weights) -> float:
        """sum_k weights[k] accuracy_k of one run, in points."""
        right = self.right[seed]
        return 100 * sum(weight * float(right[shift].mean()) for shift, weight in weights.items())

    def mean(self, weights: Weights) -> float:
        return float(np.mean([self.value(seed, weights) for seed in self.records]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A method less the baseline in one quantity, over the seeds that both have.

    `p` is Holm's over all comparisons of its table; none for a method that lacks a seed of the baseline's,
    and for the reference, whose runs may scatter otherwise.
    """

    method: str
    what: str
    interval: Interval
    contrast: Contrast | None
    p: float | None

    def is_sure(self, level: float = 0.05) -> bool:
        return self.p is not None and self.p < level


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


def quantities(record: Record) -> dict[str, Weights]:
    """ID, OOD, their gap, and the mean of every family, each as weights of the accuracies of the shifts."""
    shifts = ood_shifts(record)
    families: dict[str, list[str]] = {}
    for shift in shifts:
        families.setdefault(record.protocol["shifts"][shift]["family"], []).append(shift)
    share = {shift: 1 / len(shifts) for shift in shifts}
    return {
        ID: {"id": 1.0},
        OOD: share,
        GAP: {"id": 1.0} | {shift: -weight for shift, weight in share.items()},
        **{name: dict.fromkeys(members, 1 / len(members)) for name, members in families.items()},
    }


def _runs(method: str, records: Sequence[Record], store: Store) -> Runs:
    right = {}
    for record in records:
        if "top1" not in record.scores["id"]:
            scores = ", ".join(record.scores["id"])
            raise StoreError(f"{record.cell.label}: a study expects a suite scored by top1, got {scores}")
        right[record.cell.seed] = correct(record, store)
        if not right[record.cell.seed]:
            path = store.outcomes_path(record.cell)
            raise StoreError(f"{path}: a study expects the outcome of every image, got none; run it again")
    return Runs(method=method, records={r.cell.seed: r for r in records}, right=right)


def _study(bits: str, methods: list[Runs], reference: Runs | None) -> Study:
    baseline = methods[0]
    weights = quantities(next(iter(baseline.records.values())))
    others = [*methods[1:], *([reference] if reference else [])]
    families = [name for name in weights if name not in MAIN]
    return Study(
        bits=bits,
        baseline=baseline,
        methods=methods,
        reference=reference,
        quantities=weights,
        main=_comparisons(methods, others, {name: weights[name] for name in MAIN}),
        families=_comparisons(methods, others, {name: weights[name] for name in families}),
    )


def _comparisons(methods: list[Runs], others: list[Runs], weights: Mapping[str, Weights]) -> list[Comparison]:
    """Each of `others` with the first of `methods`; Holm's correction over all of them together."""
    baseline = methods[0]
    whole = [runs for runs in methods if runs.records.keys() >= baseline.records.keys()]
    found: list[tuple[str, str, Interval, Contrast | None]] = []
    for what, weight in weights.items():
        matrices = {runs.method: _matrices(runs, baseline, weight) for runs in others}
        tested = _contrasts(whole, weight)
        for runs in others:
            if matrix := matrices[runs.method]:
                nested = is_nested(next(iter(runs.records.values())))
                interval = (nested_bootstrap if nested else paired_bootstrap)(matrix)
                found.append((runs.method, what, interval, tested.get(runs.method)))
    adjusted = iter(holm([contrast.p for *_, contrast in found if contrast]))
    return [
        Comparison(method=method, what=what, interval=i, contrast=c, p=next(adjusted) if c else None)
        for method, what, i, c in found
    ]


def _contrasts(whole: list[Runs], weights: Weights) -> dict[str, Contrast]:
    """By method, of those that have all seeds of the first."""
    seeds = list(whole[0].records)
    if len(whole) < 2:
        return {}
    table = np.array([[runs.value(seed, weights) for seed in seeds] for runs in whole])
    variances = [_image_variance(_matrices(runs, whole[0], weights), runs) for runs in whole]
    tested = contrasts(table, 0, variances)
    return {runs.method: contrast for runs, contrast in zip(whole[1:], tested[1:], strict=True)}


def _image_variance(matrices: list[NDArray[np.float64]], runs: Runs) -> float:
    """Of the mean over seeds, images being what is sampled, pool by pool; where every seed has images of its
    own these are part of the scatter of the seeds, and nothing comes on top."""
    if len(runs.records) > 1 and is_nested(next(iter(runs.records.values()))):
        return 0.0
    return math.fsum(float(m.mean(axis=0).var(ddof=1)) / m.shape[1] for m in matrices)


def _matrices(runs: Runs, baseline: Runs, weights: Weights) -> list[NDArray[Any]]:
    """The contributions of a difference over the seeds that both have; empty where there are none."""
    seeds = [seed for seed in baseline.records if seed in runs.records]
    if not seeds:
        return []
    first = baseline.records[seeds[0]]
    pools = {shift: str(first.protocol["shifts"][shift]["pool"]) for shift in weights}
    return contributions(
        [runs.right[seed] for seed in seeds], [baseline.right[seed] for seed in seeds], pools, weights
    )
