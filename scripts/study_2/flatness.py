"""Part 5 of the second study: sharpness against OOD, over configurations at one bit-width."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from flatqat.bench.records.paired import mean_weights, metric_of, outcomes_of
from flatqat.bench.records.sections import method_label
from flatqat.bench.records.store import Store
from flatqat.bench.study.compare import Runs
from flatqat.bench.study.correlations import MEASURES, value_of
from flatqat.console.rounded import p_value
from flatqat.errors import counted
from flatqat.metrics.holm import holm
from flatqat.metrics.partial_rank import FEWEST_ROWS, partial_rank
from flatqat.metrics.rank import RankCorrelation, rank_correlation
from flatqat.spec import SPACES, Cell, Record, Space
from flatqat.spec.reading import Args
from scripts.study_2.part import LEVEL, Part, lacking, table
from scripts.study_2.rows import AT_ID, MODEL, SUITE

LIMIT, STEPS, BITS, PLANNED = 2000, 100, "3", 120
VARIED = {"lr", "weight_decay"}
SHARPNESS = tuple(name for name in MEASURES if name != "λmax")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a measure in a space correlates with OOD, alone or at equal ID, with p corrected over measures."""

    space: Space
    measure: str
    alone: RankCorrelation
    alone_p: float | None
    at_equal: RankCorrelation | None
    at_equal_p: float | None


def configurations(store: Store) -> list[Record]:
    """Return the runs of the grid, one a configuration, also those that failed."""
    return [record for record in store.records(SUITE) if _is_of_grid(record.cell)]


def _is_of_grid(cell: Cell) -> bool:
    known = (cell.model, cell.seed, cell.limit, cell.bits, cell.adapt, cell.amp)
    recipe = dict(cell.recipe_args)
    return (
        known == (MODEL, 0, LIMIT, BITS, None, False)
        and recipe.pop("steps", 0) == STEPS
        and set(recipe) <= VARIED
    )


def answers(records: list[Record], store: Store) -> list[Answer]:
    """Return the answer of every measure in every space.

    Configurations of one method are not independent, so methods are the rows of the tables, and recipes their
    columns. A method counts for a measure that is finite with all recipes.
    """
    rows = _by_method(records)
    if not rows:
        return []
    runs = [[_runs(record, store) for record in row] for row in rows]
    ood = mean_weights(records[0])

    whole = np.array([[run.value(0, ood) for run in row] for row in runs])
    y, z = (
        [np.array([[run.half(0, weights, half) for run in row] for row in runs]) for half in (0, 1)]
        for weights in (ood, AT_ID)
    )
    cases = [(space, name) for space in SPACES for name in SHARPNESS]
    alone: list[RankCorrelation | None] = []
    at_equal: list[RankCorrelation | None] = []
    for space, name in cases:
        values = [[value_of(record, space, MEASURES[name]) for record in row] for row in rows]
        sharp = np.array(values, dtype=np.float64)  # NaN for None
        keep = np.isfinite(sharp).all(axis=1)
        enough = int(keep.sum()) >= FEWEST_ROWS
        alone.append(rank_correlation(sharp[keep], whole[keep]) if enough else None)
        halves = [(a[keep], b[keep]) for a, b in (y, z)]
        at_equal.append(partial_rank(sharp[keep], *halves) if enough else None)
    corrected = [_corrected(results) for results in (alone, at_equal)]
    return [
        Answer(space=space, measure=name, alone=a, alone_p=ap, at_equal=e, at_equal_p=ep)
        for (space, name), a, ap, e, ep in zip(
            cases, alone, corrected[0], at_equal, corrected[1], strict=True
        )
        if a
    ]


def _by_method(records: list[Record]) -> list[list[Record]]:
    """Return the runs of each method with its settings that has all recipes, in the order of the recipes."""
    found: dict[str, dict[Args, Record]] = {}
    for record in records:
        found.setdefault(method_label(record), {})[record.cell.recipe_args] = record
    recipes = sorted({record.cell.recipe_args for record in records})
    return [[of[recipe] for recipe in recipes] for of in found.values() if len(of) == len(recipes)]


def _runs(record: Record, store: Store) -> Runs:
    """Return a configuration's only run, as that of seed 0, which all of them have."""
    right = outcomes_of(record, store).mapped(metric_of(record).values)
    return Runs(method=record.cell.label, records={0: record}, right={0: right})


def _corrected(results: list[RankCorrelation | None]) -> list[float | None]:
    adjusted = iter(holm([r.p for r in results if r and r.p is not None]))
    return [next(adjusted) if r and r.p is not None else None for r in results]


def part(store: Store) -> Part | None:
    """Return this part of the page, or None before there are enough configurations to rank.

    Nothing is tested before all configurations of the plan have run, nor where they differ too little in
    ID.
    """
    planned = configurations(store)
    records = [record for record in planned if record.status == "done"]
    if len(records) < PLANNED // 2:
        return None
    found, whole = answers(records, store), len(planned) >= PLANNED
    if not found:
        return None
    told_apart = any(a.at_equal_p is not None for a in found)
    rows = []
    for a in found:
        tests = ((a.alone, a.alone_p if told_apart else None), (a.at_equal, a.at_equal_p))
        cells = [text for r, p in tests for text in (_rho(r), _p(p) if whole else "not yet")]
        rows.append([a.space, a.measure, str(a.alone.rows), *cells])
    count = f"{len(records)} configurations at {BITS} bits"
    recipes = counted(len({record.cell.recipe_args for record in records}), "recipe")
    methods = counted(len({method_label(record) for record in records}), "method")
    lines = [
        table(["space", "measure", "methods", "ρ with OOD", "p", "ρ at equal ID", "p"], rows),
        "",
        f"Spearman's ρ ± its standard error over {count}, one seed each: {methods} with {recipes} (learning "
        f"rate and weight decay), {STEPS} steps, {LIMIT:,} images a shift. Each radius of SAM and each "
        "strength of the anchor counts as a method. More is sharper, so flatter is better where ρ is "
        "negative. Methods: those for which the measure is finite with all recipes. At equal ID: ranks "
        "among the configurations of one recipe. p: methods are the units, since configurations of one "
        "method are not independent; after Holm's correction over the measures and spaces of a column. "
        f"{_power(found)}",
    ]
    said = "no conclusion is drawn, as planned, since the configurations differ too little in ID"
    if told_apart:
        alone = _verdict([(a, a.alone, a.alone_p) for a in found])
        said = f"{alone}; at equal ID: {_verdict([(a, a.at_equal, a.at_equal_p) for a in found])}"
    sentence = f"**Flatness and OOD**, over {count}: {said}."
    lacks = lacking(max(0, PLANNED - len(planned)), PLANNED, "configurations of flatness")
    return Part(title="Flatness", found=[sentence] if whole and found else [], lines=lines, lacks=lacks)


def _verdict(cases: list[tuple[Answer, RankCorrelation | None, float | None]]) -> str:
    sure = [(a, r) for a, r, p in cases if r and p is not None and p < LEVEL]
    if not sure:
        return f"undecided for all {len(cases)} measures"
    words = {True: "flatter is better", False: "flatter is worse"}
    return "; ".join(
        f"{word} by {', '.join(f'{a.measure} ({a.space}, ρ = {r.rho:+.2f})' for a, r in some)}"
        for sign, word in words.items()
        if (some := [(a, r) for a, r in sure if (r.rho < 0) is sign])
    )


def _power(found: Sequence[Answer]) -> str:
    """Say how well the halves of ID agree, and which ρ the measure with the smallest error would find."""
    alone, at_equal = [a.alone for a in found], [a.at_equal for a in found if a.at_equal]
    if not at_equal:
        return ""
    least, least_at_equal = (
        min(_detectable(result, tests=len(found)) for result in results) for results in (alone, at_equal)
    )
    return (
        f"The halves of ID correlate by {max(a.reliability for a in at_equal):.2f}. The measure with the "
        f"smallest error would find a ρ of {least:.2f}, or of {least_at_equal:.2f} at equal ID, in 80% of "
        "such studies."
    )


def _detectable(result: RankCorrelation, tests: int) -> float:
    """Return the ρ whose p, corrected over some tests, is below the level with a probability of 80%."""
    freedom = result.rows - 3
    return result.stderr * float(stdtrit(freedom, 1 - LEVEL / tests / 2) + stdtrit(freedom, 0.8))


def _rho(result: RankCorrelation | None) -> str:
    return f"{result.rho:+.2f} ± {result.stderr:.2f}" if result else "-"


def _p(p: float | None) -> str:
    return "withheld" if p is None else p_value(p)
