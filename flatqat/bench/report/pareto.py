"""OOD accuracy against what a network costs: a point for each method and bits, and which are on the front."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flatqat.bench.records.named import results_option
from flatqat.bench.records.paired import metric_of
from flatqat.bench.records.sections import Section, key_of, row_label
from flatqat.bench.records.store import Store
from flatqat.bench.report.cost_columns import size_bytes
from flatqat.bench.report.families import Family, is_mean, merged, rows_of_methods
from flatqat.bench.report.shown import ends_of
from flatqat.errors import StoreError

SEPARATOR = " · "  # of the parts of a section's title

Row = Mapping[Any, Any]
Rows = Sequence[Row]
"""A table of methods, see `rows_of_methods`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One method at one bit width, the mean over seeds.

    Attributes:
        method: The method's name, with what else tells it apart in its panel.
        model: The model's name.
        bits: The bits.
        size: Bytes of all parameters.
        bops: Bit operations for one image.
        ood: The suite's metric, the mean over shifts, in percent.
        ends: Both ends of its 95% interval, if known.
        seeds: The number of seeds.
    """

    method: str
    model: str
    bits: str
    size: float
    bops: float
    ood: float
    ends: tuple[float, float] | None
    seeds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """What may be compared: points of one suite, scored on the same images by the same metric.

    `without` has the labels of rows that have no cost or no OOD value.
    """

    title: str
    metric: str
    points: tuple[Point, ...]
    without: tuple[str, ...]


def panels(sections: Sequence[Section], store: Store) -> list[Panel]:
    """Return a panel for each suite, with all its models. Raises StoreError if no record has cost and OOD."""
    shown = [section for section in merged(sections) if section.rows]
    tables = [(section, rows_of_methods(section, store)) for section in shown]
    found = panels_of(tables)
    if not found and any(size_bytes(row) and row["bops"] for _, rows in tables for row in rows):
        expected = "expected records with a cost and scores under shift (OOD), got none that has both"
        raise StoreError(f"--plot pareto: {expected}; run a suite that has shifts, or choose another --plot")
    if not found:
        where = results_option(store.root)
        expected = "expected records with the cost of their network, got none"
        raise StoreError(f"--plot pareto: {expected}; add it with: flatqat cost '*'{where} --data-root DATA")
    return found


def panels_of(tables: Sequence[tuple[Section, Rows]]) -> list[Panel]:
    """Return the panels of sections, merged and with rows, whose tables of methods are known."""
    groups: dict[tuple[object, ...], list[tuple[Section, Rows]]] = {}
    for section, rows in tables:
        groups.setdefault(_comparable(section), []).append((section, rows))
    return [panel for group in groups.values() if (panel := _panel(group)).points]


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the places of the (cost, value) pairs that none surpasses, by rising cost.

    One surpasses another if it costs no more and its value is not lower, and one of both is better.
    """
    order = sorted(range(len(points)), key=lambda k: (points[k][0], -points[k][1]))
    best: list[int] = []
    for k in order:
        if not best or points[k][1] > points[best[-1]][1] or points[k] == points[best[-1]]:
            best.append(k)
    return best


def _comparable(section: Section) -> tuple[object, ...]:
    cell = section.first.cell
    suite = cell.suite.partition("@")[0] if isinstance(section, Family) else cell.suite
    return suite, cell.suite_version, cell.limit, cell.adapt


def _panel(tables: Sequence[tuple[Section, Rows]]) -> Panel:
    sections = [section for section, _ in tables]
    first = sections[0].first
    points, without = [], []
    for section, rows in tables:
        model, others = _model(section), _others(section, sections)
        for row in of_means(rows):
            if point := _point(row, metric_of(first).name, model, others):
                points.append(point)
            else:
                without.append(" ".join(filter(None, (model, row_label(key_of(row)), others))))
    title = sections[0].title
    if len(sections) > 1:
        title = title.partition(SEPARATOR)[0]
        title += f"{SEPARATOR}adapted {first.cell.adapt}" if first.cell.adapt else ""
    return Panel(title=title, metric=metric_of(first).title, points=tuple(points), without=tuple(without))


def _model(section: Section) -> str:
    return section.first.cell.model


def _others(section: Section, sections: Sequence[Section]) -> str:
    """Return what a section's title has besides its model that others of its panel have not."""
    shared = set.intersection(*(set(each.title.split(SEPARATOR)) for each in sections))
    parts = section.title.split(SEPARATOR)
    return ", ".join(part for part in parts if part not in shared and part != _model(section))


def of_means(rows: Rows) -> Rows:
    """Return the rows of a table; of left-out domains, those of their mean, or of the only domain."""
    means = {key_of(row) for row in rows if is_mean(row)}
    return [row for row in rows if key_of(row) not in means or is_mean(row)]


def _point(row: Row, metric: str, model: str, others: str) -> Point | None:
    size, ood = size_bytes(row), row[f"ood_{metric}"]
    if not size or not row["bops"] or ood is None:
        return None
    return Point(
        method=f"{row['method']} ({others})" if others else row["method"],
        model=model,
        bits=row["bits"],
        size=size,
        bops=row["bops"],
        ood=ood,
        ends=ends_of(row, f"ood_{metric}"),
        seeds=row["seeds"],
    )
