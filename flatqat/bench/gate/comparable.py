"""Why two series with the same role still cannot be compared."""

from collections.abc import Mapping
from dataclasses import replace

from flatqat.bench.gate.compare import BySeed
from flatqat.bench.gate.run import Run
from flatqat.bench.gate.series import Series
from flatqat.spec import ShiftInfo


def obstacles_of(before: Series, now: Series, *, same_data: bool = False) -> list[str]:
    """Return why nothing of two series is comparable; empty if it is.

    With `same_data` they must have the same fingerprints of their images, too.
    """
    old, new = before.cell, now.cell
    if old.suite_version != new.suite_version:
        return [f"the version of {new.suite} differs: {old.suite_version} → {new.suite_version}"]
    metrics = [{run.metric.name for run in side.done} for side in (before, now)]
    if now.done and metrics[0] != metrics[1]:
        return [f"the metric differs: {'/'.join(metrics[0])} → {'/'.join(metrics[1])}"]
    if now.done and (odd := odd_shift(before.done[0].shifts, now.done[0].shifts)):
        return [f"the shifts differ, such as {odd}"]
    return _other_data(before, now) if same_data else []


def without_outcomes(series: Series, values: BySeed) -> list[str]:
    """Return which runs of a series have lost the outcomes of their images."""
    gone = [run.file for run in series.done if not values[run.cell.seed]]
    return [f"{file}: expected the outcomes of its record, got none; run the cell again" for file in gone]


def other_images(shifts: Mapping[str, ShiftInfo], before: BySeed, now: BySeed) -> str:
    """Return why the images of two series do not fit together; empty if they do."""
    first = next(iter(before.values())).sizes
    for run in [*before.values(), *now.values()]:
        sizes = run.sizes
        for shift in [*first, *sizes] if sizes != first else []:
            a, b = first.get(shift, 0), sizes.get(shift, 0)
            if a != b:
                return f"the number of images of {shift} differs: {a:,} → {b:,}"
    compared = {s: n for s, n in first.items() if s == "id" or shifts[s].in_mean}
    fewest = min(compared, key=lambda shift: compared[shift])
    return f"{fewest} has a single image, and two are needed" if compared[fewest] < 2 else ""


def of_same_weights(before: Series, now: Series) -> tuple[Series, Series, list[str]]:
    """Return the runs of two series that evaluate the same weights, seed by seed, and why others do not."""
    old, new = ({run.cell.seed: run for run in side.done} for side in (before, now))
    kept, obstacles = [], []
    for seed, run in old.items():
        why = _other_weights(run, new[seed]) if seed in new else "not in the results"
        if why:
            obstacles.append(f"seed {seed}: {why}")
        else:
            kept.append(seed)
    sides = (replace(s, runs=tuple(r for r in s.done if r.cell.seed in kept)) for s in (before, now))
    return next(sides), next(sides), obstacles


def _other_weights(before: Run, now: Run) -> str:
    """Return how the weights of two runs differ; empty if they do not."""
    digests = [run.weights() for run in (before, now)]
    for digest, where in zip(digests, ("the baseline", "the results folder"), strict=True):
        if digest is None:
            return f"{where} does not hold its weights"
    return "" if digests[0] == digests[1] else f"the weights differ: {digests[0]} → {digests[1]}"


def _other_data(before: Series, now: Series) -> list[str]:
    """Return a sentence if the images of two series are others; seeds that both have are compared alone."""
    old, new = ({run.cell.seed: run.data for run in side.done} for side in (before, now))
    seeds = sorted(old.keys() & new.keys())
    sides = [{side[seed] for seed in seeds} if seeds else {*side.values()} for side in (old, new)]
    names = ("/".join(sorted(side)) for side in sides)
    return [] if sides[0] == sides[1] else [f"the images differ: data {' → '.join(names)}"]


def odd_shift(old: Mapping[str, ShiftInfo], new: Mapping[str, ShiftInfo]) -> str | None:
    """Return a shift that only one side has, or that the two count otherwise."""
    return next((shift for shift in [*old, *new] if old.get(shift) != new.get(shift)), None)
