"""Families of suites in one table: rows by method, bits and left-out domain, and the mean over domains."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from flatqat.bench.records.paired import (
    BySeed,
    Scored,
    components_of,
    mean_weights,
    metric_of,
    outcomes_by_seed,
)
from flatqat.bench.records.sections import Section, protocol_line, revisions_line
from flatqat.bench.records.store import Store
from flatqat.bench.report.by_method import method_row, section_extra_gaps, with_error
from flatqat.bench.report.caveats import with_collapsed
from flatqat.metrics.estimate import Estimate
from flatqat.metrics.missing import mean_if_complete, mean_of_known
from flatqat.spec import Record

if TYPE_CHECKING:
    import pandas as pd

Key = tuple[str, str]
Outcomes = Mapping[str, Mapping[Key, BySeed]]
"""The outcomes of every method by domain."""
TEXTS = ("method", "bits", "domain")
CAPTION = "mean: over the domains. oracle: {} on the images of OOD, weights of the last step"


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
    domains, else `mean of 2/4`. Its errors are those of the mean over domains, whose images are independent.
    """
    import pandas as pd

    outcomes: Outcomes = {
        name: {key: outcomes_by_seed(records, store) for key, records in member.rows.items()}
        for name, member in family.members.items()
    }
    extra = {name: section_extra_gaps([m], [outcomes[name]]) for name, m in family.members.items()}
    mean_extra = _mean_extra_gaps(family, outcomes)
    rows: list[dict[str, Any]] = []
    for key in family.rows:
        domains = {name: member.rows[key] for name, member in family.members.items() if key in member.rows}
        for name, records in domains.items():
            row = method_row(key, records, outcomes[name][key], extra[name].get(key))
            rows.append(_with_domain(row, name, records))
        by_seed = {name: outcomes[name][key] for name in domains}
        if len(domains) > 1 and (mean := _mean_row(family, key, domains, by_seed, mean_extra.get(key))):
            rows.append(mean)
    return pd.DataFrame(with_collapsed(rows, family))


def _mean_extra_gaps(family: Family, outcomes: Outcomes) -> dict[Key, Estimate]:
    """Return the extra gap of each method, the mean over the domains that have it."""
    groups: dict[tuple[str, ...], list[Key]] = {}
    for key in family.rows:
        groups.setdefault(tuple(n for n, m in family.members.items() if key in m.rows), []).append(key)
    found: dict[Key, Estimate] = {}
    for names, keys in groups.items():
        chosen = {k for k, rows in family.rows.items() if rows[0].protocol.reference} | set(keys)
        if all(chosen <= family.members[n].rows.keys() for n in names):
            members = [
                replace(m, rows={k: m.rows[k] for k in m.rows if k in chosen})
                for m in map(family.members.__getitem__, names)
            ]
            of_members = [{k: outcomes[n][k] for k in m.rows} for n, m in zip(names, members, strict=True)]
            found |= section_extra_gaps(members, of_members)
    return found


def _mean_row(
    family: Family,
    key: Key,
    all_records: Mapping[str, list[Record]],
    all_outcomes: Mapping[str, BySeed],
    extra: Estimate | None,
) -> dict[str, Any] | None:
    seeds = set.intersection(*({r.cell.seed for r in records} for records in all_records.values()))
    if not seeds:
        return None
    domains = {name: [r for r in records if r.cell.seed in seeds] for name, records in all_records.items()}
    outcomes = {name: {seed: by_seed[seed] for seed in seeds} for name, by_seed in all_outcomes.items()}
    rows = [
        _with_domain(method_row(key, records, outcomes[name], None), name, records)
        for name, records in domains.items()
    ]
    columns = [column for column in rows[0] if column not in TEXTS]
    mean = {column: mean_if_complete(row[column] for row in rows) for column in columns}
    is_complete, name = set(domains) == set(family.targets), _metric(next(iter(domains.values())))
    scored = [Scored(record=records[0], methods={"": outcomes[n]}) for n, records in domains.items()]
    return {
        **rows[0],
        **mean,
        "domain": "mean" if is_complete else f"mean of {len(domains)}/{len(family.targets)}",
        "seeds": len(seeds),
        "images": sum(row["images"] for row in rows),
        **with_error(f"id_{name}", mean[f"id_{name}"], components_of(scored, lambda _: {"id": 1.0})),
        **with_error(f"ood_{name}", mean[f"ood_{name}"], components_of(scored, mean_weights)),
        "extra_gap": extra and extra.value,
        "extra_gap_low": extra and extra.low,
        "extra_gap_high": extra and extra.high,
        "extra_gap_seeds": extra and extra.seeds,
        "seeds_with_outcomes": min(row["seeds_with_outcomes"] for row in rows),
        "floating_layers": max(row["floating_layers"] for row in rows),
        "lambda_max_residual": max((row["lambda_max_residual"] for row in rows), key=_or_zero),
    }


def _with_domain(row: Mapping[Any, Any], domain: str, records: Sequence[Record]) -> dict[str, Any]:
    """Return a row of `by_method` with the domain as its third column, and the metric of the last weights."""
    oracle = {f"oracle_{_metric(records)}": mean_of_known(_last(record) for record in records)}
    return {text: row.get(text) for text in TEXTS} | dict(row) | {"domain": domain} | oracle


def _metric(records: Sequence[Record]) -> str:
    return metric_of(records[0]).name


def _last(record: Record) -> float | None:
    """Return the metric of the last weights in percent, or None for a method that takes no step."""
    last = [name for name, shift in record.protocol.shifts.items() if shift.weights == "last"]
    if not last or not record.train.steps:
        return None
    return mean_if_complete(record.scores[name][metric_of(record).name].value for name in last)


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
