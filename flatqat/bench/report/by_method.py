"""A section of stored records as rows, one for each method."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from flatqat.bench.records.paired import (
    Runs,
    Share,
    SharesBySeed,
    components_of,
    differences,
    extra_gap_weights,
    ids_of,
    image_sets_of,
    mean_weights,
    metric_of,
    ood_shifts,
    seed_mean,
)
from flatqat.bench.records.sections import RowKey, Section, key_of
from flatqat.bench.records.store import Store
from flatqat.bench.report.caveats import floating_layers, floating_weights, with_collapsed
from flatqat.bench.report.confidence import confidence_columns
from flatqat.bench.report.cost_columns import cost_columns, with_whole_numbers
from flatqat.bench.report.deployed import deployed_columns
from flatqat.bench.report.robustness import robustness_columns
from flatqat.metrics.components import Components
from flatqat.metrics.estimate import Estimate
from flatqat.metrics.metric import Metric
from flatqat.metrics.missing import mean_if_complete
from flatqat.spec import Record
from flatqat.spec.flatness import number

if TYPE_CHECKING:
    import pandas as pd

View = Literal["method", "shift", "family", "severity", "class"]
VIEWS: tuple[View, ...] = get_args(View)
EXTRA_GAP = ("extra_gap", "extra_gap_low", "extra_gap_high")
SHARPNESS_RADIUS = "0.1"


def by_method(section: Section, store: Store) -> "pd.DataFrame":
    """Return `method_rows` as a table."""
    import pandas as pd

    rows = method_rows(section, store)
    return with_whole_numbers(pd.DataFrame(rows), rows)


def method_rows(
    section: Section, store: Store, read: Mapping[RowKey, Runs] | None = None
) -> list[dict[str, Any]]:
    """Return a row for each (method, bits), of means over seeds; `read` has the runs if they are read.

    Its columns are the suite's metric ID and OOD in percent, their gap, the gap beyond that of the reference,
    NLL, ECE, Brier score and detection on the shifts, and flatness, where all seeds have it. `pooled` is the
    metric of the images of all shifts together, for metrics where that is not the mean over shifts. Standard
    errors and 95% intervals are over seeds and images together, or with one seed over images; see `Estimate`.
    Rows with verified files have the columns of `deployed_columns`. The last columns say what the network
    costs, and what else to know before reading a row, see the module `caveats`.
    """
    rows, gaps = [], {}
    for key, records in section.rows.items():
        runs = Runs.of(records, store) if read is None else read[key]
        rows.append(method_row(key, records, runs))
        gaps[key] = runs.shares(extra_gap_weights(records[0]))
    extra = extra_gaps([section], [gaps])
    return with_collapsed([with_extra_gap(row, extra) for row in rows], section)


def extra_gaps(
    sections: Sequence[Section], gaps: Sequence[Mapping[RowKey, SharesBySeed]]
) -> Mapping[RowKey, Estimate]:
    """Return the extra gap of each method over the reference, the mean over sections that all have it.

    `gaps` has for each section what the images of each method contribute to its gap.
    """
    references = [section.reference for section in sections]
    if references[0] is None or len(set(references)) > 1:
        return {}
    return differences(gaps, references[0])


def method_row(key: RowKey, records: Sequence[Record], runs: Runs) -> dict[str, Any]:
    """Return the row of one (method, bits) from its records and runs, without its extra gap."""
    first, shifts, metric = records[0], ood_shifts(records[0]), metric_of(records[0])
    name = metric.name
    id_value, ood_value = seed_mean(records, name, ["id"]), seed_mean(records, name, shifts)
    gap = None if id_value is None or ood_value is None else id_value - ood_value
    flatness = [r.flatness.quantized for r in records]
    eigenvalues = [f.lambda_max if f else None for f in flatness]
    return {
        "method": key[0],
        "bits": key[1],
        "seeds": len(records),
        "images": first.scores["id"][name].n,
        f"val_{name}": seed_mean(records, name, ["val"]),
        **interval_columns("id", metric, id_value, runs.components({"id": 1.0})),
        **interval_columns("ood", metric, ood_value, runs.components(mean_weights(first))),
        **_pooled(first, runs),
        "gap": gap,
        **dict.fromkeys(EXTRA_GAP),
        "id_nll": seed_mean(records, "nll", ["id"]),
        "ood_nll": seed_mean(records, "nll", shifts),
        "id_ece": seed_mean(records, "ece", ["id"]),
        "ood_ece": seed_mean(records, "ece", shifts),
        **confidence_columns(records, shifts),
        "lambda_max": mean_if_complete(e.value if e else None for e in eigenvalues),
        "lambda_max_residual": max(
            (e.residual for e in eigenvalues if e and e.residual is not None), default=None
        ),
        "sharpness": mean_if_complete(f.mean_rise(SHARPNESS_RADIUS) if f else None for f in flatness),
        "sharpness_sam": mean_if_complete(number(f.sharpness_sam) if f else None for f in flatness),
        "flatness_seeds": sum(f is not None for f in flatness),
        **robustness_columns(records, runs, shifts),
        **cost_columns(records),
        **deployed_columns(records, shifts),
        "extra_gap_seeds": None,
        "seeds_with_outcomes": sum(map(bool, runs.outcomes.values())),
        "floating_weights": floating_weights(records),
        "floating_layers": floating_layers(records),
    }


def with_extra_gap(row: Mapping[str, Any], extra: Mapping[RowKey, Estimate]) -> dict[str, Any]:
    """Return a row with the extra gap of its method, if that is known."""
    if (found := extra.get(key_of(row))) is None:
        return dict(row)
    columns = zip(EXTRA_GAP, (found.value, found.low, found.high), strict=True)
    return {**row, **dict(columns), "extra_gap_seeds": found.seeds}


def interval_columns(
    on: str, metric: Metric, value: float | None, components: Components | None
) -> dict[str, float | None]:
    """Return the columns `<on>_<metric>` in percent: mean, standard error, 95% interval and sd over seeds."""
    column, estimate = f"{on}_{metric.name}", components.mean(0) if components and value is not None else None
    low, high = metric.ends(estimate)
    return {
        column: value,
        f"{column}_stderr": estimate.stderr if estimate else None,
        f"{column}_low": low,
        f"{column}_high": high,
        f"{column}_seed_sd": components.seed_sd(0) if components else None,
    }


def _pooled(record: Record, runs: Runs) -> dict[str, float | None]:
    """Return the metric of all shifts' images in percent, if it is not the mean of shifts, and its errors."""
    metric, image_sets = metric_of(record), image_sets_of(record, ood_shifts(record))
    if not metric.pooled_shares:
        return {}
    if not image_sets or not all(runs.outcomes.values()):
        return interval_columns("pooled", metric, None, None)
    of_set = {name: [s for s, other in image_sets.items() if other == name] for name in image_sets.values()}
    shares = {}
    for seed, run in runs.outcomes.items():
        of_run = metric.pooled_shares([[run[s] for s in of] for of in of_set.values()])
        shares[seed] = {
            name: Share(values=100 * part, ids=ids_of(record, run, of[0]))
            for (name, of), part in zip(of_set.items(), of_run, strict=True)
        }
    components = components_of([{"": shares}])
    value = float(components.means[0]) if components else None
    return interval_columns("pooled", metric, value, components)
