"""Families of suites in one table: a row a (method, bits, left-out domain), and the mean over domains."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from flatqat.bench.records.paired import mean_extra_gap_of, metric_of, ood_shifts
from flatqat.bench.records.sections import Section, protocol_line, reference_of
from flatqat.bench.records.store import Store
from flatqat.bench.report.by_method import by_method
from flatqat.metrics.significance import mean_over_seeds
from flatqat.spec import Record

if TYPE_CHECKING:
    import pandas as pd

Key = tuple[str, str]
TEXTS = ("method", "bits", "domain")
CAPTION = "mean: over the domains, ± over seeds. oracle: {} on the images of OOD, weights of the last step"


@dataclass(frozen=True, slots=True, kw_only=True)
class Family(Section):
    """Sections that differ in the left-out domain alone, by its name in the order of `targets`."""

    members: Mapping[str, Section]
    targets: tuple[str, ...]


def merged(found: Sequence[Section]) -> list[Section]:
    """The sections, those of a family put together in the place of its first."""
    groups: dict[str, list[Section]] = {}
    for section in found:
        target = _target(section)
        title = section.title.replace(f"@{target}", "", 1) if target else section.title
        groups.setdefault(title, []).append(section)
    return [_family(title, group) if _target(group[0]) else group[0] for title, group in groups.items()]


def by_domain(family: Family, store: Store) -> "pd.DataFrame":
    """The columns of `by_method` with `domain` and `oracle_<metric>`, for every domain and for their mean.

    A mean takes the seeds that all domains have. It is called `mean` over all the family's domains, else
    `mean of 2/4`. Its standard error is over seeds (sd with ddof=1 over sqrt(n)), and its extra gap the mean
    of those of the domains with a bootstrap interval of its own.
    """
    import pandas as pd

    tables = {name: by_method(member, store).to_dict("records") for name, member in family.members.items()}
    rows: list[dict[str, Any]] = []
    for key in family.rows:
        here = {name: member.rows[key] for name, member in family.members.items() if key in member.rows}
        for name, records in here.items():
            row = next(row for row in tables[name] if (row["method"], row["bits"]) == key)
            rows.append(_with_domain(row, name, records))
        if len(here) > 1 and (mean := _mean_row(family, key, here, store)):
            rows.append(mean)
    return pd.DataFrame(rows)


def _mean_row(
    family: Family, key: Key, here: Mapping[str, list[Record]], store: Store
) -> dict[str, Any] | None:
    seeds = set.intersection(*({r.cell.seed for r in records} for records in here.values()))
    if not seeds:
        return None
    kept = {name: [r for r in records if r.cell.seed in seeds] for name, records in here.items()}
    rows = []
    for name, records in kept.items():
        (row,) = by_method(replace(family.members[name], rows={key: records}), store).to_dict("records")
        rows.append(_with_domain(row, name, records))
    mean = {column: _mean([row[column] for row in rows]) for column in rows[0] if column not in TEXTS}
    references = {name: reference_of(family.members[name]) for name in kept}
    gap = mean_extra_gap_of([(records, references[name]) for name, records in kept.items()], store)
    whole, name = set(kept) == set(family.targets), _metric(next(iter(kept.values())))
    return {
        **rows[0],
        **mean,
        "domain": "mean" if whole else f"mean of {len(kept)}/{len(family.targets)}",
        "seeds": len(seeds),
        "images": sum(row["images"] for row in rows),
        f"id_{name}_stderr": _stderr(kept, ["id"]),
        f"ood_{name}_stderr": _stderr(kept, None),
        "extra_gap": gap and gap.value,
        "extra_gap_low": gap and gap.low,
        "extra_gap_high": gap and gap.high,
        "lambda_max_residual": max((row["lambda_max_residual"] for row in rows), key=_or_zero),
    }


def _with_domain(row: Mapping[Any, Any], domain: str, records: Sequence[Record]) -> dict[str, Any]:
    """A row of `by_method` with the domain as its third column, and the metric with the last weights."""
    lasts = [_last(record) for record in records]
    oracle = _mean([value for value in lasts if value is not None])
    return {
        **{text: row.get(text) for text in TEXTS},
        **row,
        "domain": domain,
        f"oracle_{_metric(records)}": oracle,
    }


def _metric(records: Sequence[Record]) -> str:
    return metric_of(records[0]).name


def _last(record: Record) -> float | None:
    """In percent; None for a rule that takes no step, and so has no last one."""
    last = [name for name, about in record.protocol["shifts"].items() if about.get("weights") == "last"]
    if not last or not record.train.get("steps"):
        return None
    return _mean([record.scores[name][metric_of(record).name].value for name in last])


def _stderr(kept: Mapping[str, list[Record]], shifts: list[str] | None) -> float | None:
    """Over seeds, of the mean over domains; of the shifts of the headline where none are given."""
    by_seed = zip(*kept.values(), strict=True)  # every domain has the same seeds, in order
    means = [
        _mean([_mean([r.scores[s][_metric([r])].value for s in shifts or ood_shifts(r)]) for r in records])
        for records in by_seed
    ]
    known = [mean for mean in means if mean is not None]
    return mean_over_seeds(known)[1] if known else None


def _mean(values: Sequence[float | None]) -> float | None:
    """None where one is missing."""
    known = [value for value in values if value is not None and value == value]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _or_zero(value: float | None) -> float:
    """A residual that may be absent, as a number to compare by."""
    return value if value is not None and value == value else 0.0


def _target(section: Section) -> str:
    """Of a member of a family; empty for other suites."""
    records = [*section.problems, *(rows[0] for rows in section.rows.values())]
    return records[0].cell.suite.partition("@")[2]


def _family(title: str, group: list[Section]) -> Family:
    done = [r for section in group for rows in section.rows.values() for r in rows]
    members = {_target(section): section for section in group}
    targets = tuple(done[0].protocol.get("targets", members) if done else members)
    ordered = {name: members[name] for name in targets if name in members}
    keys = dict.fromkeys(key for section in ordered.values() for key in section.rows)
    return Family(
        title=title,
        protocol=f"{protocol_line(done)}. {CAPTION.format(metric_of(done[0]).title)}" if done else "",
        rows={key: [r for s in ordered.values() for r in s.rows.get(key, [])] for key in keys},
        problems=[r for section in group for r in section.problems],
        members=ordered,
        targets=targets,
    )
