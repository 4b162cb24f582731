"""The rows of a section beside those of a pack: differences in points, paired by image.

Compared is what has the same suite and version, model, recipe, start, limit, window, adaptation, precision,
method, bits and images. Trainings of the two sides count as independent, as in the gate: another machine
makes a training another one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite

from flatqat.bench.gate.comparable import obstacles_of, other_images
from flatqat.bench.gate.compare import BySeed, Row, Rules, compare
from flatqat.bench.gate.differences import what_differs
from flatqat.bench.gate.reference import Pack
from flatqat.bench.gate.run import Run
from flatqat.bench.gate.series import Series
from flatqat.bench.records.sections import RowKey, Section, row_label
from flatqat.bench.records.store import Store
from flatqat.errors import listed
from flatqat.spec import Cell

RULES = Rules(retraining_sd=0.0)  # nothing is assumed of how much a single training scatters
OF_SECTION = ("suite_version", "model", "recipe", "recipe_args", "weights", "limit", "window", "adapt", "amp")
NO_OUTCOMES = "the outcomes of its images are not stored"
MEANS = ("id", "ood")


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What one section has beside a pack.

    Attributes:
        title: The title of the section.
        name: The name of the pack.
        made: Where the rows of the pack were computed.
        rows: By (method, bits) the comparison of ID and, where the suite has shifts, of OOD.
        alone: The same of rows that only the pack has, compared with themselves.
        reasons: What is not compared, and why, in sentences.
        differing: What else differs, and in which rows, in sentences.
    """

    title: str
    name: str
    made: str
    rows: Mapping[RowKey, Sequence[Row]]
    alone: Mapping[RowKey, Sequence[Row]]
    reasons: Sequence[str]
    differing: Sequence[str]


def beside(section: Section, store: Store, pack: Pack) -> Beside:
    """Compare the rows of a section with those of a pack."""
    stored = pack.sections.get(section.title, {})
    rows: dict[RowKey, Sequence[Row]] = {}
    alone: dict[RowKey, Sequence[Row]] = {}
    reasons = [] if stored else [_nothing(section, pack)]
    if pack.unknown:
        reasons.append(f"{listed(pack.unknown)}: {pack.name} is an old file, which has their labels alone")
    differing: dict[str, list[str]] = {}
    first = _series(section, store, next(iter(section.rows)))
    for key in [*section.rows, *(key for key in stored if key not in section.rows)]:
        label, name = row_label(key), f"{row_label(key)} of {pack.name}"
        now = _series(section, store, key) if key in section.rows else None
        before = _chosen(stored.get(key, []), now)
        if before is None:
            reasons += [f"{label}: {_lacking(stored.get(key, []), pack)}"] if stored else []
            continue
        sides, why = _sides(before, now, first)
        if why:
            reasons.append(f"{name}: {why}")
            continue
        found, undefined = _compared((now or before).runs[0], *sides)
        reasons += [f"{name}: {what} is undefined" for what in undefined]
        if found:
            (rows if now else alone)[key] = found
        for text in what_differs(before, now) if now else []:
            differing.setdefault(text, []).append(label)
    return Beside(
        title=section.title,
        name=pack.name,
        made=_made(stored, pack),
        rows=rows,
        alone=alone,
        reasons=reasons,
        differing=[f"{text} ({', '.join(labels)})" for text, labels in differing.items()],
    )


def _made(stored: Mapping[RowKey, Sequence[Series]], pack: Pack) -> str:
    """Return where the rows of a section were computed, as far as that is known."""
    runs = [run for of_row in stored.values() for series in of_row for run in series.runs]
    places = {
        f"flatqat {env.flatqat}, torch {env.packages.get('torch')}, {env.device}"
        for run in runs
        for env in run.scored_in[:1]
    }
    return f"{pack.name}: {' / '.join(sorted(places)) or 'computed elsewhere'}"


def _series(section: Section, store: Store, key: RowKey) -> Series:
    runs = tuple(Run.of(record, store) for record in section.rows[key])
    return Series(cell=replace(runs[0].cell, seed=0, parent=None), runs=runs)


def _values(series: Series) -> BySeed:
    return {run.cell.seed: run.values() for run in series.done}


def _compared(run: Run, before: BySeed, now: BySeed) -> tuple[list[Row], list[str]]:
    """Return the comparisons of ID and OOD, and which of them are undefined."""
    every = compare("", run.shifts, before, now, RULES, nested=run.nested)
    rows = [row for row in every if row.what in MEANS]
    undefined = [row.what for row in rows if not (isfinite(row.before) and isfinite(row.now))]
    return [row for row in rows if row.what not in undefined], undefined


def _chosen(stored: Sequence[Series], now: Series | None) -> Series | None:
    """Return the only series of a row, or of several that of the same code; None if that is not known."""
    alike = [one for one in stored if now and one.cell == now.cell]
    return next(iter(alike or stored), None) if len(stored) == 1 or alike else None


def _lacking(stored: Sequence[Series], pack: Pack) -> str:
    return f"{pack.name} has several, made by other code" if stored else f"not in {pack.name}"


def _sides(before: Series, now: Series | None, first: Series) -> tuple[list[BySeed], str]:
    """Return the values of a series and of that of its row, or of itself where there is none.

    There is a reason beside them if it does not belong beside that of its row, or beside the first.
    """
    if obstacles := obstacles_of(before, now or first, same_data=True):
        return [], obstacles[0]
    old = _values(before)
    new = _values(now) if now else old
    if not all(new.values()):
        return [], NO_OUTCOMES
    return [old, new], other_images(first.runs[0].shifts, old, new)


def _nothing(section: Section, pack: Pack) -> str:
    """Return the sentence on a section that a pack has nothing of, with the closest that it has."""
    cells = [record.cell for records in section.rows.values() for record in records]
    of_suite = {
        title: next(iter(rows.values()))[0].cell
        for title, rows in pack.sections.items()
        if next(iter(rows.values()))[0].cell.suite == cells[0].suite
    }
    if not of_suite:
        return f"{pack.name} has nothing of {cells[0].suite}"
    closest = min(of_suite, key=lambda title: len(_differing(of_suite[title], cells[0])))
    fields = " and ".join(_differing(of_suite[closest], cells[0]))
    return f"{pack.name} has other cells of {cells[0].suite}: {closest}; it differs in {fields}"


def _differing(one: Cell, other: Cell) -> list[str]:
    return [name.replace("_", " ") for name in OF_SECTION if getattr(one, name) != getattr(other, name)]
