"""How flat the runs of a study are, and whether flatness correlates with accuracy under shift, by rank."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flatqat.bench.study.compare import GAP, ID, LEVEL, OOD, MethodRuns
from flatqat.bench.study.study import Study
from flatqat.metrics.holm import holm
from flatqat.metrics.missing import mean_if_complete
from flatqat.metrics.partial_rank import FEWEST_ROWS as FEWEST_ROWS_AT_EQUAL
from flatqat.metrics.partial_rank import partial_rank
from flatqat.metrics.rank import FEWEST_ROWS, RankCorrelation, rank_correlation
from flatqat.spec import SPACES, Record, Space, SpaceFlatness
from flatqat.spec.flatness import number

Value = Callable[[SpaceFlatness], float | None]

MEASURES: dict[str, Value] = {
    "λmax": lambda flatness: number(flatness.lambda_max),
    "sharp 5%": lambda flatness: flatness.mean_rise("0.05"),
    "sharp 10%": lambda flatness: flatness.mean_rise("0.1"),
    "sharp 20%": lambda flatness: flatness.mean_rise("0.2"),
    "SAM": lambda flatness: number(flatness.sharpness_sam),
    "ASAM": lambda flatness: number(flatness.sharpness_asam),
}
"""Measures of flatness by name; a larger value is sharper for all of them."""

BESIDE: dict[str, Value] = {
    "loss": lambda flatness: flatness.loss,
    "norm": lambda flatness: flatness.weight_norm,
}
"""What is shown beside the measures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Does flatness correlate with a quantity among the runs of one seed, or, there, at equal `given`?

    `flatter_is_better` is the sign of the correlation of sharpness with the quantity if flatness helps.
    """

    title: str
    quantity: str
    given: str | None = None
    flatter_is_better: int = -1


QUESTIONS = (
    Question(title="OOD", quantity=OOD),
    Question(title="OOD at equal ID", quantity=OOD, given=ID),
    Question(title="gap", quantity=GAP, flatter_is_better=1),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Association:
    """The answer of one measure in one space to one question.

    There is no correlation if the measure is constant, or known for too few methods. `p` is after Holm's
    correction over all measures and spaces of the question; None if the answer is withheld, because what is
    held equal is measured too coarsely.
    """

    space: Space
    measure: str
    question: Question
    correlation: RankCorrelation | None
    p: float | None

    @property
    def verdict(self) -> int:
        """1 if flatter is better, -1 if flatter is worse, 0 if undecided."""
        if self.correlation is None or self.p is None or self.p >= LEVEL:
            return 0
        return self.question.flatter_is_better * (1 if self.correlation.rho > 0 else -1)


def spaces(study: Study) -> list[Space]:
    """Return the spaces in which any of the runs was measured, in the order of SPACES."""
    records = [record for runs in study.methods for record in runs.records.values()]
    return [space for space in SPACES if any(record.flatness.space(space) for record in records)]


def associations(study: Study) -> list[Association]:
    """Return the answer of every measure in every space to every question, over methods with all seeds."""
    answers = []
    for question in QUESTIONS:
        cases = [(space, name) for space in spaces(study) for name in MEASURES]
        results = [_correlation(study, space, name, question) for space, name in cases]
        adjusted = iter(holm([r.p for r in results if r and r.p is not None]))
        answers += [
            Association(
                space=space,
                measure=name,
                question=question,
                correlation=r,
                p=next(adjusted) if r and r.p is not None else None,
            )
            for (space, name), r in zip(cases, results, strict=True)
        ]
    return answers


def value_of(record: Record, space: Space, value: Value) -> float | None:
    """Return a value of the flatness in a space, or None if it was not measured or is not defined."""
    flatness = record.flatness.space(space)
    return None if flatness is None else value(flatness)


def mean_of(runs: MethodRuns, space: Space, value: Value) -> float | None:
    """Return the mean of a value over seeds, or None if one is missing."""
    return mean_if_complete(value_of(record, space, value) for record in runs.records.values())


def _correlation(study: Study, space: Space, name: str, question: Question) -> RankCorrelation | None:
    seeds = list(study.baseline.records)
    rows: list[tuple[list[float], MethodRuns]] = []
    for runs in study.methods:
        if not runs.records.keys() >= set(seeds):
            continue
        values = [value_of(runs.records[seed], space, MEASURES[name]) for seed in seeds]
        finite = [value for value in values if value is not None and np.isfinite(value)]
        if len(finite) == len(seeds):
            rows.append((finite, runs))
    sharpness = np.array([values for values, _ in rows])

    def table(quantity: str, half: int | None = None) -> NDArray[np.float64]:
        weights = study.quantities[quantity]
        return np.array(
            [
                [
                    runs.value(seed, weights) if half is None else runs.half(seed, weights, half)
                    for seed in seeds
                ]
                for _, runs in rows
            ]
        )

    if question.given is None:
        if len(rows) < FEWEST_ROWS:
            return None
        return rank_correlation(sharpness, table(question.quantity))
    if len(rows) < FEWEST_ROWS_AT_EQUAL:
        return None
    halves = [(table(name, 0), table(name, 1)) for name in (question.quantity, question.given)]
    return partial_rank(sharpness, *halves)
