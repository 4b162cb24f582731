"""Part 5 of the second study: sharpness against OOD, over configurations at one bit-width."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from flatqat.bench.records.paired import mean_weights, metric_of, outcomes_of
from flatqat.bench.records.sections import method_of
from flatqat.bench.records.store import Store
from flatqat.bench.study.compare import MethodRuns
from flatqat.bench.study.correlations import MEASURES, value_of
from flatqat.console.rounded import p_value
from flatqat.errors import counted
from flatqat.metrics.holm import holm
from flatqat.metrics.partial_rank import FEWEST_ROWS, LEAST_RELIABILITY, partial_rank
from flatqat.metrics.rank import RankCorrelation, centered_ranks, permuted_sd, rank_correlation
from flatqat.spec import SPACES, Record, Space
from scripts.study_2.configurations import (
    BITS,
    LIMIT,
    PLANNED,
    RECIPES,
    STEPS,
    Setting,
    configurations,
    settings,
)
from scripts.study_2.part import LEVEL, Part, lacking, table
from scripts.study_2.rows import AT_ID

SHARPNESS = tuple(name for name in MEASURES if name != "λmax")
POWER = 0.8
WITHHELD = f"; tests are withheld where that is below {LEAST_RELIABILITY}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a measure in a space correlates with OOD, with p corrected over measures.

    `pooled` is the rho of all its configurations, as they are, and `pooled_halves` that of their ID on two
    halves of the images. The others are those of methods, alone and at equal ID. `spread` is the standard
    deviation of `alone.rho` where nothing correlates.
    """

    space: Space
    measure: str
    configurations: int
    pooled: float
    pooled_halves: float
    alone: RankCorrelation
    spread: float
    alone_p: float | None
    at_equal: RankCorrelation | None
    at_equal_p: float | None

    @property
    def withheld(self) -> bool:
        """Whether ID tells the methods too little apart for the plan to say anything."""
        return self.at_equal is not None and self.at_equal.p is None


def answers(rows: Sequence[Setting], store: Store) -> list[Answer]:
    """Return the answer of every measure in every space.

    Configurations of one method are not independent, whatever its radius or strength. So methods are the rows
    of the tables, each with the mean rank of its settings, and recipes are the columns. A setting counts for
    a measure that is finite with all recipes.
    """
    if not rows:
        return []
    methods = np.array([row[0].cell.method for row in rows])
    runs = [[_runs(record, store) for record in row] for row in rows]
    ood = mean_weights(rows[0][0])

    whole = np.array([[run.value(0, ood) for run in row] for row in runs])
    y, z = (
        [np.array([[run.half(0, weights, half) for run in row] for row in runs]) for half in (0, 1)]
        for weights in (ood, AT_ID)
    )
    found = []
    for space, name in product(SPACES, SHARPNESS):
        values = [[value_of(record, space, MEASURES[name]) for record in row] for row in rows]
        sharp = np.array(values, dtype=np.float64)  # NaN for None
        keep = np.isfinite(sharp).all(axis=1)
        if len(set(methods[keep])) < FEWEST_ROWS:
            continue
        x, of_ood, *halves = (_of_methods(t[keep], methods[keep]) for t in (sharp, whole, *y, *z))
        alone = rank_correlation(x, of_ood)
        if alone:
            found.append(
                Answer(
                    space=space,
                    measure=name,
                    configurations=int(keep.sum()) * len(RECIPES),
                    pooled=_pooled(sharp[keep], whole[keep]),
                    pooled_halves=_pooled(z[0][keep], z[1][keep]),
                    alone=alone,
                    spread=permuted_sd(x, of_ood),
                    alone_p=None,
                    at_equal=partial_rank(x, (halves[0], halves[1]), (halves[2], halves[3])),
                    at_equal_p=None,
                )
            )
    alone_p = holm([a.alone.p for a in found if a.alone.p is not None and not a.withheld])
    at_equal_p = holm([a.at_equal.p for a in found if a.at_equal and a.at_equal.p is not None])
    return _with_p(found, alone_p, at_equal_p)


def _with_p(found: Sequence[Answer], alone: Sequence[float], at_equal: Sequence[float]) -> list[Answer]:
    of_alone, of_equal = iter(alone), iter(at_equal)
    return [
        replace(
            a,
            alone_p=None if a.withheld else next(of_alone),
            at_equal_p=next(of_equal) if a.at_equal and not a.withheld else None,
        )
        for a in found
    ]


def _pooled(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    return float(spearmanr(x.ravel(), y.ravel()).statistic)


def _of_methods(table: NDArray[np.float64], methods: NDArray[np.str_]) -> NDArray[np.float64]:
    """Return the mean ranks within recipes of each method's settings, (methods, recipes)."""
    ranked = centered_ranks(table)
    return np.array([ranked[methods == method].mean(axis=0) for method in np.unique(methods)])


def _runs(record: Record, store: Store) -> MethodRuns:
    """Return a configuration's only run, as that of seed 0, which all of them have."""
    right = outcomes_of(record, store).mapped(metric_of(record).values)
    return MethodRuns(method=record.cell.label, records={0: record}, right={0: right})


def part(store: Store) -> Part | None:
    """Return this part of the page, or None before there are enough configurations to rank.

    Nothing is tested before all configurations of the plan have run, nor where they differ too little in
    ID.
    """
    planned = configurations(store)
    rows = settings(planned)
    if len(rows) * len(RECIPES) < PLANNED // 2:
        return None
    found, whole = answers(list(rows.values()), store), len(planned) >= PLANNED
    if not found:
        return None
    cells = [[*_cells(a, whole=whole)] for a in found]
    most = max(a.configurations for a in found)
    methods = max(a.alone.rows for a in found)
    header = ["space", "measure", "configurations", "ρ of all", "methods"]
    lines = [
        table([*header, "ρ", "p", "ρ at equal ID", "p"], cells),
        "",
        f"Spearman's ρ of sharpness and OOD, over configurations at {BITS} bits, one seed each: methods with "
        f"their settings and {counted(len(RECIPES), 'recipe')} (learning rate and weight decay), {STEPS} "
        f"steps, {LIMIT:,} images a shift. More is sharper, so flatter is better where ρ is negative. ρ of "
        "all: over all configurations as they are, which is also what learning rate and weight decay do to "
        "all methods. The other columns have ranks among the configurations of one recipe, and methods as "
        "their units: settings of one method are not independent evidence, so its mean rank over radii (of "
        "SAM) or strengths (of the anchor) counts once. ±: standard error. p: after Holm's correction over "
        "the measures and spaces of a column. What is held equal is the measured ID of these runs; an "
        "ability that a run's ID does not show is not held equal. "
        f"{_power(found, methods)}{_left_out(planned, rows)}",
    ]
    count = f"{counted(most, 'configuration')} of {methods} methods at {BITS} bits"
    said = (
        "no conclusion is drawn, as planned, since two halves of the images rank the configurations' ID too "
        "differently"
    )
    if not all(a.withheld for a in found):
        alone = _verdict([(a, a.alone, a.alone_p) for a in found])
        at_equal = _verdict([(a, a.at_equal, a.at_equal_p) for a in found])
        said = f"{alone}; at equal ID: {at_equal}"
    sentence = f"**Flatness and OOD**, over {count}: {said}."
    lacks = lacking(max(0, PLANNED - len(planned)), PLANNED, "configurations of flatness")
    return Part(title="Flatness", found=[sentence] if whole else [], lines=lines, lacks=lacks)


def _cells(a: Answer, *, whole: bool) -> list[str]:
    tests = ((a.alone, a.alone_p), (a.at_equal, a.at_equal_p))
    tested = [text for r, p in tests for text in (_rho(r), _p(a, p) if whole else "not yet")]
    return [a.space, a.measure, str(a.configurations), f"{a.pooled:+.2f}", str(a.alone.rows), *tested]


def _verdict(cases: list[tuple[Answer, RankCorrelation | None, float | None]]) -> str:
    tested = [(a, r, p) for a, r, p in cases if r and p is not None]
    sure = [(a, r) for a, r, p in tested if p < LEVEL]
    if not tested:
        return "nothing is left to test"
    if not sure:
        return f"undecided for all {len(tested)} measures"
    words = {True: "flatter is better", False: "flatter is worse"}
    said = [
        f"{word} by {', '.join(f'{a.measure} ({a.space}, ρ = {r.rho:+.2f})' for a, r in some)}"
        for sign, word in words.items()
        if (some := [(a, r) for a, r in sure if (r.rho < 0) is sign])
    ]
    undecided = [f"{len(tested) - len(sure)} of {len(tested)} measures undecided"]
    return "; ".join(said + undecided * (len(sure) < len(tested)))


def _power(found: Sequence[Answer], methods: int) -> str:
    """Say how well the halves of ID agree, and which ρ as many methods would find."""
    reliable = [a.at_equal.reliability for a in found if a.at_equal]
    pooled = max(a.pooled_halves for a in found)
    agree = (
        f"The ranks of ID on two halves of the images correlate by {max(reliable):.2f} ({pooled:.2f} over "
        f"all configurations as they are){WITHHELD}. "
        if reliable
        else ""
    )
    least, most = (f"{detectable(end(a.spread for a in found), len(found)):.2f}" for end in (min, max))
    sizes = least if least == most else f"{least} to {most}, by measure,"
    return (
        f"{agree}Over {methods} methods whose ranks repeat from recipe to recipe as they do here, a ρ of "
        f"{sizes} would be found in 80% of such studies; at equal ID the detectable ρ is at least as large."
    )


def detectable(spread: float, tests: int) -> float:
    """Return the ρ whose p, corrected over some tests, is below the level in 80% of studies; at most 1.

    ρ is taken as normal, with the standard deviation `spread` over permutations where nothing correlates, and
    (1 − ρ²) times that at ρ: the root of ρ = z_p · spread + z_power · spread · (1 − ρ²).
    """
    of_p, of_power = (NormalDist().inv_cdf(share) * spread for share in (1 - LEVEL / tests / 2, POWER))
    return min(1.0, (math.sqrt(1 + 4 * of_power * (of_p + of_power)) - 1) / (2 * of_power))


def _left_out(planned: Sequence[Record], rows: dict[str, Setting]) -> str:
    """Name the methods that lack a finished run with a recipe, and so count for no measure."""
    lost = sorted({method_of(record.cell) for record in planned} - set(rows))
    return f" Left out, since not all recipes have a finished run: {', '.join(lost)}." if lost else ""


def _rho(result: RankCorrelation | None) -> str:
    return f"{result.rho:+.2f} ± {result.stderr:.2f}" if result else "-"


def _p(a: Answer, p: float | None) -> str:
    if p is None:
        return "withheld" if a.withheld else "-"
    return p_value(p)
