"""What a section says in one sentence: what low bits cost under shift, as far as its interval allows."""

from collections.abc import Mapping, Sequence
from typing import Any

from flatqat.bench.records.paired import metric_of
from flatqat.bench.records.sections import RowKey, Section, bits_in_words, key_of, names_of, row_label
from flatqat.bench.report.families import is_mean
from flatqat.bench.report.shown import is_unknown
from flatqat.console.rounded import interval, rounded
from flatqat.metrics.estimate import Estimate

Row = Mapping[Any, Any]


def headline(section: Section, rows: Sequence[Row], taxes: Mapping[RowKey, Estimate], against: str) -> str:
    """Return the sentence on the lowest bits of the method `against`, or of the first method without it.

    Which row it is about does not depend on any score. `taxes` are in OOD. Names are between backticks.
    """
    if not section.rows:
        return "No cell is finished."
    key, metric = _chosen(section, against), metric_of(section.first)
    of_key = [row for row in rows if key_of(row) == key]
    row = next(filter(is_mean, of_key), of_key[0])
    if section.reference is None or key not in taxes:
        return _level(section, row, metric.name, metric.title)
    tax, reference = taxes[key], row_label(section.reference)
    ends = f"{rounded(tax.value, '+.1f')} points, 95% interval {interval(tax.low, tax.high)}"
    if tax.seeds == 1:
        return (
            f"In these training runs alone, `{row_label(key)}` differs from `{reference}` by {ends} over "
            f"images, in OOD {metric.title}: with one seed this says nothing about the methods."
        )
    over = f"over {tax.seeds} seeds and images"
    name = f"`{key[0]}` at {bits_in_words(key[1])}"
    return f"{_cost(name, reference, tax, metric.title, ends, over)}{_beside_id(row, tax)}."


def _chosen(section: Section, against: str) -> RowKey:
    """Return the row with the lowest bits of `against`, or else of the first method but the reference."""
    others = [key for key in section.rows if key != section.reference] or list(section.rows)
    method = next((key[0] for key in others if against in names_of(key[0])), others[0][0])
    return min((key for key in others if key[0] == method), key=lambda key: _bits(section, key))


def _bits(section: Section, key: RowKey) -> tuple[int, int]:
    quant = section.rows[key][0].protocol.quant
    return quant.weight_bits or 32, quant.act_bits or 32


def _cost(name: str, reference: str, tax: Estimate, metric: str, ends: str, over: str) -> str:
    if _holds_zero(tax.low, tax.high):
        difference = f"its difference from `{reference}` is {ends} {over}"
        return f"Whether {name} costs OOD {metric} is undecided: {difference}"
    low, high = sorted((abs(tax.low), abs(tax.high)))
    return (
        f"Under shift, {name} {'loses' if tax.high < 0 else 'gains'} {rounded(abs(tax.value))} points of "
        f"{metric} against `{reference}`, 95% interval {interval(low, high, '.1f')} {over}"
    )


def _beside_id(row: Row, tax: Estimate) -> str:
    """Say whether the loss or gain is more than in distribution, by the extra gap."""
    if row["collapsed"]:
        return ", and it has collapsed in distribution"
    low, high = row["extra_gap_low"], row["extra_gap_high"]
    if is_unknown(low):
        return ""
    ends = f"(extra gap {rounded(row['extra_gap'], '+.1f')}, {interval(low, high)})"
    if _holds_zero(low, high) and _holds_zero(tax.low, tax.high):
        return f", and so is whether it is more or less than in distribution {ends}"
    if _holds_zero(low, high):
        return f"; whether that is more or less than in distribution is undecided {ends}"
    if _holds_zero(tax.low, tax.high):
        return f"; beside that in distribution it is {'lower' if low > 0 else 'higher'} {ends}"
    return f", {'more' if (low > 0) == (tax.high < 0) else 'less'} than in distribution {ends}"


def _level(section: Section, row: Row, name: str, metric: str) -> str:
    """Say how good a row is where there is nothing to compare it with."""
    value = row[f"ood_{name}"]
    label = f"`{row_label(key_of(row))}`"
    if is_unknown(value):
        return f"OOD {metric} of {label} is not known."
    low, high = row[f"ood_{name}_low"], row[f"ood_{name}_high"]
    over = "over images, of this training run alone" if row["seeds"] == 1 else "over seeds and images"
    ends = "" if is_unknown(low) else f", 95% interval {interval(low, high, '.1f')} {over}"
    said = f"{label} has {rounded(value)}% OOD {metric}{ends}"
    if key_of(row) == section.reference:
        return f"{said}; only full precision is stored."
    why = (
        "full precision is not stored"
        if section.reference is None
        else "there is no interval of a difference"
    )
    return f"{said}; what its bits cost is not known, since {why}."


def _holds_zero(low: float, high: float) -> bool:
    return low <= 0 <= high
