"""How flat the runs of a study are, and whether that goes with what they do under shift, by rank."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatqat.bench.study.compare import GAP, ID, LEVEL, OOD, Runs
from flatqat.bench.study.study import Study
from flatqat.metrics.rank import FEWEST_ROWS, RankCorrelation, rank_correlation
from flatqat.metrics.significance import holm
from flatqat.spec import Record

MEASURES: dict[str, tuple[str, ...]] = {
    "λmax": ("lambda_max", "value"),
    "sharp 5%": ("sharpness_avg", "0.05", "value"),
    "sharp 10%": ("sharpness_avg", "0.1", "value"),
    "sharp 20%": ("sharpness_avg", "0.2", "value"),
    "SAM": ("sharpness_sam", "value"),
    "ASAM": ("sharpness_asam", "value"),
}
"""Name -> where it stands in the flatness of a space. Of all of them more is sharper."""

SPACES = ("quantized", "latent")
BESIDE = {"loss": ("loss",), "norm": ("weight_norm",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What flatness is held against: a quantity, within seeds or not, at equal ID or not.

    `flatter_is_better` is the sign of the correlation of *sharpness* with it if flatness helps.
    """

    title: str
    quantity: str
    within: bool = False
    given: str | None = None
    flatter_is_better: int = -1


QUESTIONS = (
    Question(title="OOD", quantity=OOD),
    Question(title="OOD, within seeds", quantity=OOD, within=True),
    Question(title="OOD at equal ID", quantity=OOD, given=ID),
    Question(title="gap", quantity=GAP, flatter_is_better=1),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Association:
    """One measure in one space against one question; `p` is Holm's over all measures and spaces of it.

    None where it is constant, or measured of fewer than three methods.
    """

    space: str
    measure: str
    question: Question
    found: RankCorrelation | None
    p: float | None

    @property
    def verdict(self) -> int:
        """1: flatter is better; -1: flatter is worse; 0: undecided."""
        if self.found is None or self.p is None or self.p >= LEVEL:
            return 0
        return self.question.flatter_is_better * (1 if self.found.rho > 0 else -1)


def spaces(study: Study) -> list[str]:
    """Those in which any of the runs was measured, the deployed point first."""
    records = [record for runs in study.methods for record in runs.records.values()]
    names = (name for record in records for name, found in record.flatness.items() if isinstance(found, dict))
    found = set(names)
    return [name for name in SPACES if name in found] + sorted(found - set(SPACES))


def associations(study: Study) -> list[Association]:
    """Every measure in every space against every question, over the methods that have all seeds."""
    found = []
    for question in QUESTIONS:
        cases = [(space, name) for space in spaces(study) for name in MEASURES]
        results = [_correlation(study, space, name, question) for space, name in cases]
        adjusted = iter(holm([r.p for r in results if r]))
        found += [
            Association(
                space=space, measure=name, question=question, found=r, p=next(adjusted) if r else None
            )
            for (space, name), r in zip(cases, results, strict=True)
        ]
    return found


def value_of(record: Record, space: str, place: Sequence[str]) -> float | None:
    """A number in the flatness of a space; None where it was not measured or is not defined."""
    at: Any = record.flatness.get(space)
    for key in place:
        at = at.get(key) if isinstance(at, dict) else None
    return None if at is None else float(at)


def mean_of(runs: Runs, space: str, place: Sequence[str]) -> float | None:
    """The mean over seeds; None where one is missing."""
    values = [value_of(record, space, place) for record in runs.records.values()]
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None


def _correlation(study: Study, space: str, name: str, question: Question) -> RankCorrelation | None:
    seeds = list(study.baseline.records)
    rows: list[tuple[list[float], Runs]] = []
    for runs in study.methods:
        if not runs.records.keys() >= set(seeds):
            continue
        values = [value_of(runs.records[seed], space, MEASURES[name]) for seed in seeds]
        known = [value for value in values if value is not None and np.isfinite(value)]
        if len(known) == len(seeds):
            rows.append((known, runs))
    if len(rows) < FEWEST_ROWS:
        return None

    def table(quantity: str) -> NDArray[np.float64]:
        weights = study.quantities[quantity]
        return np.array([[runs.value(seed, weights) for seed in seeds] for _, runs in rows])

    sharpness = np.array([values for values, _ in rows])
    given = table(question.given) if question.given else None
    return rank_correlation(sharpness, table(question.quantity), given, within=question.within)
