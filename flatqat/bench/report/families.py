"""Families of suites in one table: rows by method, bits and left-out domain, and the mean over domains."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from flatqat.bench.records.paired import (
    Runs,
    SharesBySeed,
    components_of,
    extra_gap_weights,
    mean_weights,
    metric_of,
)
from flatqat.bench.records.sections import RowKey, Section, how_made
from flatqat.bench.records.store import Store
from flatqat.bench.report.by_method import (
    EXTRA_GAP,
    extra_gaps,
    interval_columns,
    method_row,
    method_rows,
    with_extra_gap,
)
from flatqat.bench.report.caveats import with_collapsed
from flatqat.bench.report.cost_columns import cost_columns, with_whole_numbers
from flatqat.metrics.components import Components
from flatqat.metrics.contributions import Weights
from flatqat.metrics.estimate import Estimate
from flatqat.metrics.missing import mean_if_complete, mean_of_known
from flatqat.spec import Record

if TYPE_CHECKING:
    import pandas as pd

TEXTS = ("method", "bits", "domain")
ERRORS = ("_stderr", "_low", "_high", "_seed_sd", "_half_width")
CAPTION = "mean: over the domains. oracle: {} on the images of OOD, weights of the last step"
REPLACED = " Settings named after the recipe, above the table, replace its own."


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
    """Return `domain_rows` as a table."""
    import pandas as pd

    rows = domain_rows(family, store)
    return with_whole_numbers(pd.DataFrame(rows), rows)


def rows_of_methods(section: Section, store: Store) -> list[dict[str, Any]]:
    """Return the rows of a table of methods: `domain_rows` of a family, `method_rows` of another section."""
    return domain_rows(section, store) if isinstance(section, Family) else method_rows(section, store)


def is_mean(row: Mapping[Any, Any]) -> bool:
    """Whether a row of `rows_of_methods` is a mean over domains."""
    return str(row.get("domain", "")).startswith("mean")


def domain_rows(family: Family, store: Store) -> list[dict[str, Any]]:
    """Return the columns of `method_rows` with `domain` and `oracle_<metric>`, by domain and for their mean.

    A mean is over the seeds that all domains have. It is called `mean` if it is over all of the family's
    domains, else `mean of 2/4`. Its errors are those of the mean over domains, which share images in ID. If
    outcomes do not say which, only the scatter over seeds takes that in, and with one seed there is no error.
    """
    rows: dict[RowKey, list[dict[str, Any]]] = {}
    means: dict[RowKey, dict[str, Any]] = {}
    known: set[RowKey] = set()
    gaps: dict[str, dict[RowKey, SharesBySeed]] = {name: {} for name in family.members}
    for key in family.rows:
        domains = {name: member.rows[key] for name, member in family.members.items() if key in member.rows}
        runs = {name: Runs.of(records, store) for name, records in domains.items()}
        rows[key] = [_domain_row(key, name, records, runs[name]) for name, records in domains.items()]
        if len(domains) > 1 and (mean := _mean_row(family, key, domains, runs, rows[key])):
            means[key] = mean
        if all(of_domain.images_known for of_domain in runs.values()):
            known.add(key)
        for name, of_domain in runs.items():
            gaps[name][key] = of_domain.shares(extra_gap_weights(of_domain.record))
    extra = {name: extra_gaps([member], [gaps[name]]) for name, member in family.members.items()}
    mean_extra = _mean_extra_gaps(family, gaps)
    found = []
    for key, of_key in rows.items():
        found += [with_extra_gap(row, extra[row["domain"]]) for row in of_key]
        if key in means:
            mean = with_extra_gap(means[key], mean_extra)
            unsure = mean["extra_gap_seeds"] == 1 and key not in known
            found.append(mean | dict.fromkeys(EXTRA_GAP[1:]) if unsure else mean)
    names = {key: [row["domain"] for row in of_key] for key, of_key in rows.items()}
    return with_collapsed(found, family, names)


def _mean_extra_gaps(
    family: Family, gaps: Mapping[str, Mapping[RowKey, SharesBySeed]]
) -> dict[RowKey, Estimate]:
    """Return the extra gap of each method, the mean over the domains that have it."""
    groups: dict[tuple[str, ...], list[RowKey]] = {}
    for key in family.rows:
        groups.setdefault(tuple(n for n, m in family.members.items() if key in m.rows), []).append(key)
    found: dict[RowKey, Estimate] = {}
    for names, keys in groups.items():
        chosen = {k for k, rows in family.rows.items() if rows[0].protocol.reference} | set(keys)
        if all(chosen <= family.members[n].rows.keys() for n in names):
            members = [
                replace(m, rows={k: m.rows[k] for k in m.rows if k in chosen})
                for m in map(family.members.__getitem__, names)
            ]
            of_members = [{k: gaps[n][k] for k in m.rows} for n, m in zip(names, members, strict=True)]
            found |= extra_gaps(members, of_members)
    return found


def _domain_row(key: RowKey, domain: str, records: Sequence[Record], runs: Runs) -> dict[str, Any]:
    return _with_domain(method_row(key, records, runs), domain, records)


def _mean_row(
    family: Family,
    key: RowKey,
    all_records: Mapping[str, list[Record]],
    all_runs: Mapping[str, Runs],
    all_rows: Sequence[dict[str, Any]],
) -> dict[str, Any] | None:
    seeds = set.intersection(*({r.cell.seed for r in records} for records in all_records.values()))
    if not seeds:
        return None
    domains = {name: [r for r in records if r.cell.seed in seeds] for name, records in all_records.items()}
    runs = {name: of_domain.of_seeds(seeds) for name, of_domain in all_runs.items()}
    rows = [
        row if len(domains[name]) == row["seeds"] else _domain_row(key, name, domains[name], runs[name])
        for name, row in zip(domains, all_rows, strict=True)
    ]
    columns = [column for column in rows[0] if column not in TEXTS]
    mean = {column: mean_if_complete(row.get(column) for row in rows) for column in columns}
    mean |= {column: None for column in columns if column.endswith(ERRORS)}  # of a mean, no means of errors
    is_complete, first = set(domains) == set(family.targets), next(iter(domains.values()))[0]
    metric = metric_of(first)
    name = metric.name

    def components(weights_of: Callable[[Record], Weights]) -> Components | None:
        suites = [{"": each.shares(weights_of(each.record))} for each in runs.values()]
        return components_of(suites)

    sure = len(seeds) > 1 or all(each.images_known for each in runs.values())  # domains share images of ID
    of_id = components(lambda _: {"id": 1.0}) if sure else None
    return {
        **rows[0],
        **mean,
        "domain": "mean" if is_complete else f"mean of {len(domains)}/{len(family.targets)}",
        "seeds": len(seeds),
        "images": sum(row["images"] for row in rows),
        **_deployed_images(rows),
        **interval_columns("id", metric, mean[f"id_{name}"], of_id),
        **interval_columns("ood", metric, mean[f"ood_{name}"], components(mean_weights)),
        **dict.fromkeys((*EXTRA_GAP, "extra_gap_seeds")),
        **cost_columns([record for records in domains.values() for record in records]),
        **{name: min(row[name] for row in rows) for name in ("seeds_with_outcomes", "flatness_seeds")},
        "floating_layers": max(row["floating_layers"] for row in rows),
        "lambda_max_residual": max((row["lambda_max_residual"] for row in rows), key=_or_zero),
    }


def _deployed_images(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    images = [row["deployed_images"] for row in rows if row.get("deployed_images")]
    return {"deployed_images": sum(images)} if len(images) == len(rows) else {}


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
    return mean_if_complete(record.values(metric_of(record).name, last))


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
    rows = {key: [r for s in ordered.values() for r in s.rows.get(key, [])] for key in keys}
    left_out, chosen = sum(section.older for section in group), group[0].chosen
    how = how_made(rows, left_out, chosen)
    replaced = REPLACED if done and done[0].cell.recipe_args else ""
    return Family(
        title=title,
        protocol=f"{how}.{replaced} {CAPTION.format(metric_of(done[0]).title)}" if done else "",
        rows=rows,
        problems=[r for section in group for r in section.problems],
        older=left_out,
        chosen=chosen,
        fewer=any(section.fewer for section in group),
        members=ordered,
        targets=targets,
    )
