"""Which methods are the best of their bits, as far as paired differences can tell."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite

from flatqat.bench.records.paired import (
    Runs,
    differences,
    mean_weights,
    metric_of,
    seed_mean,
)
from flatqat.bench.records.sections import RowKey, Section
from flatqat.bench.report.shown import Shown
from flatqat.metrics.contributions import Weights
from flatqat.metrics.holm import holm

LEVEL = 0.05
NOTE = (
    "Bold: at each bit width, the best method and those that are not significantly worse (paired by seed and "
    "image, 5% level, Holm's correction). Nothing is bold where that would be all methods, with one seed, or "
    "where methods have other seeds."
)


def with_best(shown: Shown, section: Section, runs: Mapping[RowKey, Runs]) -> Shown:
    """Return the table of a section's methods with the best of each bit width in bold, and the note on it."""
    found = best(section, runs)
    places = {name: shown.header.index(name) for name in found if name in shown.header}
    strong = {
        (row, place)
        for row, key in enumerate(section.rows)
        for name, place in places.items()
        if key in found[name]
    }
    return replace(shown, strong=strong, notes=[*shown.notes, NOTE]) if strong else shown


def best(section: Section, runs: Mapping[RowKey, Runs]) -> dict[str, set[RowKey]]:
    """Return by column, ID and OOD, the rows that may be the best of their bits; see NOTE."""
    found: dict[str, set[RowKey]] = {}
    for column, weights in {"ID": {"id": 1.0}, "OOD": mean_weights(section.first)}.items():
        for bits in dict.fromkeys(bits for _, bits in section.rows):
            keys = [key for key in section.rows if key[1] == bits and key != section.reference]
            found.setdefault(column, set()).update(_best(section, runs, keys, weights))
    return found


def _best(
    section: Section, runs: Mapping[RowKey, Runs], keys: Sequence[RowKey], weights: Weights
) -> set[RowKey]:
    """Return the rows among `keys` that no test tells from the one with the largest value."""
    metric = metric_of(section.first).name
    values = {key: seed_mean(section.rows[key], metric, [*weights]) for key in keys}
    known = {key: value for key, value in values.items() if value is not None}
    seeds = {tuple(sorted(runs[key].values)) for key in known}
    if len(known) < 2 or len(seeds) > 1 or len(next(iter(seeds))) < 2:
        return set()  # one seed, or not the same for all, says nothing of methods
    first = max(known, key=lambda key: known[key])
    shares = {key: runs[key].shares(weights) for key in known}
    found = differences([shares], first)
    tested = [key for key in known if key != first]
    if not all(key in found and isfinite(found[key].p) for key in tested):
        return set()  # some runs have no outcomes
    adjusted = dict(zip(tested, holm([found[key].p for key in tested]), strict=True))
    equal = {first, *(key for key in tested if adjusted[key] >= LEVEL)}
    return equal if len(equal) < len(known) else set()
