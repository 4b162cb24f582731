"""Families of suites in one table: rows by method, bits and left-out domain, and the mean over domains."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from flatqat.bench.records.paired import mean_extra_gap_of, metric_of, ood_shifts
from flatqat.bench.records.sections import Section, protocol_line, reference_of, revisions_line
from flatqat.bench.records.store import Store
from flatqat.bench.report.by_method import by_method
from flatqat.metrics.missing import mean_if_complete, mean_of_known
from flatqat.spec import Record

if TYPE_CHECKING:
    import pandas as pd

Key = tuple[str, str]
TEXTS = ("method", "bits", "domain")
CAPTION = "mean: over the domains, ± over seeds. oracle: {} on the images of OOD, weights of the last step"


@dataclass(frozen=True, slots=True, kw_only=True)
class Family(Section):
    """Sections that differ in nothing but the left-out domain.

    Attributes:
        members: The sections by their domain, in the order of `targets`.
        targets: All domains of the family.
    """

    members: Mapping[str, Section]
    targets: tuple[str, ...]


def merged(sections: Sequence[Section]) -> list[Section]:
    """Return the sections, those of a family merged into one in the place of the first."""
    groups: dict[str, list[Section]] = {}
    for section in sections:
        target = _target(section)
        title = section.title.replace(f"@{target}", "", 1) if target else section.title
        groups.setdefault(title, []).append(section)
    return [_family(title, group) if _target(group[0]) else group[0] for title, group in groups.items()]


def by_domain(family: Family, store: Store) -> "pd.DataFrame":
    """Return the columns of `by_method` with `domain` and `oracle_<metric>`, by domain and for their mean.

    A mean is over the seeds that all domains have. It is called `mean` if it is over all of the family's
    domains, else `mean of 2/4`. Its standard error is over seeds (sd with ddof=1 over sqrt(n)), and its extra
    gap is the mean of those of the domains with a bootstrap interval of its own.
    """
    import pandas as pd

    tables = {name: by_method(member, store).to_dict("records") for name, member in family.members.items()}
    rows: list[dict[str, Any]] = []
    for key in family.rows:
        domains = {name: member.rows[key] for name, member in family.members.items() if key in member.rows}
        for name, records in domains.items():
            row = next(row for row in tables[name] if (row["method"], row["bits"]) == key)
            rows.append(_with_domain(row, name, records))
        if len(domains) > 1 and (mean := _mean_row(family, key, domains, store)):
            rows.append(mean)
    return pd.DataFrame(rows)


def _mean_row(
    family: Family, key: Key, all_records: Mapping[str, list[Record]], store: Store
) -> dict[str, Any] | None:
    seeds = set.intersection(*({r.cell.seed for r in records} for records in all_records.values()))
    if not seeds:
        return None
    domains = {name: [r for r in records if r.cell.seed in seeds] for name, records in all_records.items()}
    rows = []
    for name, records in domains.items():
        (row,) = by_method(replace(family.members[name], rows={key: records}), store).to_dict("records")
        rows.append(_with_domain(row, name, records))
    columns = [column for column in rows[0] if column not in TEXTS]
    mean = {column: mean_if_complete(row[column] for row in rows).value for column in columns}
    references = {name: reference_of(family.members[name]) for name in domains}
    gap = mean_extra_gap_of([(records, references[name]) for name, records in domains.items()], store)
    is_complete, name = set(domains) == set(family.targets), _metric(next(iter(domains.values())))
    return {
        **rows[0],
        **mean,
        "domain": "mean" if is_complete else f"mean of {len(domains)}/{len(family.targets)}",
        "seeds": len(seeds),
        "images": sum(row["images"] for row in rows),
        f"id_{name}_stderr": _stderr(domains, ["id"]),
        f"ood_{name}_stderr": _stderr(domains, None),
        "extra_gap": gap and gap.value,
        "extra_gap_low": gap and gap.low,
        "extra_gap_high": gap and gap.high,
        "lambda_max_residual": max((row["lambda_max_residual"] for row in rows), key=_or_zero),
    }


def _with_domain(row: Mapping[Any, Any], domain: str, records: Sequence[Record]) -> dict[str, Any]:
    """Return a row of `by_method` with the domain as its third column, and the metric of the last weights."""
    oracle = {f"oracle_{_metric(records)}": mean_of_known(_last(record) for record in records).value}
    return {text: row.get(text) for text in TEXTS} | dict(row) | {"domain": domain} | oracle


def _metric(records: Sequence[Record]) -> str:
    return metric_of(records[0]).name


def _last(record: Record) -> float | None:
    """Return the metric of the last weights in percent, or None for a method that takes no step."""
    last = [name for name, shift in record.protocol.shifts.items() if shift.weights == "last"]
    if not last or not record.train.steps:
        return None
    return mean_if_complete(record.scores[name][metric_of(record).name].value for name in last).value


def _stderr(domains: Mapping[str, list[Record]], shifts: list[str] | None) -> float | None:
    """Return the standard error over seeds of the mean over domains and shifts, by default the OOD ones."""

    def mean(record: Record) -> float | None:
        name = _metric([record])
        return mean_if_complete(record.scores[s][name].value for s in shifts or ood_shifts(record)).value

    by_seed = zip(*domains.values(), strict=True)  # every domain has the same seeds, in order
    return mean_of_known(mean_if_complete(map(mean, records)).value for records in by_seed).stderr


def _or_zero(value: float | None) -> float:
    """Return a residual that may be missing as a number to compare by."""
    return value if value is not None and value == value else 0.0


def _target(section: Section) -> str:
    """Return the left-out domain of a section; empty if its suite is not of a family."""
    records = [*section.problems, *(rows[0] for rows in section.rows.values())]
    return records[0].cell.target


def _family(title: str, group: list[Section]) -> Family:
    done = [r for section in group for rows in section.rows.values() for r in rows]
    members = {_target(section): section for section in group}
    targets = (done[0].protocol.targets if done else ()) or tuple(members)
    ordered = {name: members[name] for name in targets if name in members}
    keys = dict.fromkeys(key for section in ordered.values() for key in section.rows)
    left_out = sum(section.older for section in group)
    how = "; ".join([protocol_line(done), *revisions_line(left_out)]) if done else ""
    return Family(
        title=title,
        protocol=f"{how}. {CAPTION.format(metric_of(done[0]).title)}" if done else "",
        rows={key: [r for s in ordered.values() for r in s.rows.get(key, [])] for key in keys},
        problems=[r for section in group for r in section.problems],
        older=left_out,
        members=ordered,
        targets=targets,
    )
