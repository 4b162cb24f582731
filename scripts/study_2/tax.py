"""Part 2 of the second study: rows minus full precision, by corruption and severity."""

from collections.abc import Sequence

from flatqat.console.rounded import p_value
from flatqat.metrics.contributions import Weights
from flatqat.metrics.estimate import Estimate
from flatqat.metrics.holm import holm
from scripts.study_2.part import Part, p_in_words, table
from scripts.study_2.rows import BITS, FP, Difference, Row, Rows, difference, in_words, interval, mean

IMPULSE, LEVEL = "impulse_noise", 0.05
FEWEST_SEEDS, PLANNED_SEEDS = 2, 4
QAT_3 = Row("qat", "3")
OWNERS = {
    Row("qat", "w3a32"): "weights alone (w3a32)",
    Row("qat", "w32a3"): "inputs alone (w32a3)",
    Row("qat", "w8a3"): "inputs, with weights of 8 bits (w8a3)",
    Row("qat", "w32a3@clip"): "clipping alone",
}
"""What may own the gain on impulse noise."""
SHOWN = (
    *(Row("qat", bits) for bits in BITS),
    *(Row("qat", bits) for bits in ("w3a32", "w8a3", "w32a3", "w32a3@clip")),
    *(Row("ptq", bits) for bits in ("4", "3", "w3a32", "w8a3", "w32a3")),
)


def tax(rows: Rows, row: Row, weights: Weights) -> Difference | None:
    """Return what a row has more than full precision, or None where too few seeds have both."""
    seeds = rows.seeds(FP, row)
    if len(seeds) < FEWEST_SEEDS:
        return None
    estimate = difference(rows.runs(FP, seeds), rows.runs(row, seeds), weights)
    return Difference(row=row, seeds=tuple(seeds), estimate=estimate, p=estimate.p)


def part(rows: Rows) -> Part | None:
    """Return this part of the page, or None without full precision and QAT."""
    there = [row for row in SHOWN if len(rows.seeds(FP, row)) >= FEWEST_SEEDS]
    if not any(row.method == "qat" for row in there):
        return None
    found = [cost(rows)]
    lines = [table(*_levels(rows, there)), "", LEVELS_NOTE]
    if QAT_3 in there:
        found += hypotheses(rows)
    if owners := _owners(rows):
        lines += ["", f"Whose the gain on {IMPULSE.replace('_', ' ')} is:", "", *owners]
    lines += ["", "By corruption:", "", table(*_by_corruption(rows)), "", CORRUPTION_NOTE]
    return Part(title="What low bits cost, and where they help", found=found, lines=lines, lacks=_lacks(rows))


def _lacks(rows: Rows) -> list[str]:
    if any(len(rows.seeds(FP, row)) < FEWEST_SEEDS for row in OWNERS):
        return [f"whose the gain on {IMPULSE.replace('_', ' ')} is"]
    if any(len(rows.seeds(FP, row)) < PLANNED_SEEDS for row in SHOWN):
        return [f"more seeds of what is quantized in part, and of PTQ ({PLANNED_SEEDS} are planned)"]
    return []


LEVELS_NOTE = (
    "Top-1 in percent; OOD is the mean over 45 shifts. Δ: points above full precision on the same seeds, "
    "with the 95% interval over seeds and images, of each difference alone. A network in full precision "
    "is trained for as many steps as QAT."
)
CORRUPTION_NOTE = (
    "QAT minus full precision, points of top-1, the mean over severities 1, 3 and 5. Bold: p below 0.05 "
    "after Holm's correction over the 15 corruptions of a bit-width."
)


def cost(rows: Rows) -> str:
    """Say what QAT costs in OOD."""
    taxes = [t for bits in BITS if (t := tax(rows, Row("qat", bits), rows.ood))]
    each = "; ".join(f"{t.row.bits} bits {interval(t.estimate)}" for t in taxes)
    seeds = in_words(taxes[0].seeds)
    return (
        f"**What low bits cost under shift.** QAT minus full precision, points of OOD top-1: {each} (seeds "
        f"{seeds})."
    )


def hypotheses(rows: Rows) -> list[str]:
    """Say whether the plan's two hypotheses on impulse noise hold."""
    gain = tax(rows, QAT_3, rows.weights[IMPULSE])
    slope = tax(rows, QAT_3, {f"{IMPULSE}/5": 1.0, f"{IMPULSE}/1": -1.0})
    assert gain
    assert slope
    return [
        f"**Where they help.** On impulse noise, 3 bits minus full precision is {interval(gain.estimate)} "
        f"points (p {p_in_words(gain.estimate.p)}, the plan's hypothesis; seeds {in_words(gain.seeds)}): "
        f"{_verdict(gain.estimate, 'a gain', 'a loss')}. From severity 1 to 5 it changes by "
        f"{interval(slope.estimate)} points: {_verdict(slope.estimate, 'it rises', 'it falls')}."
    ]


def _verdict(estimate: Estimate, above: str, below: str) -> str:
    if estimate.p >= LEVEL:
        return "undecided"
    return above if estimate.value > 0 else below


def _owners(rows: Rows) -> list[str]:
    """Return a table of the differences on impulse noise by what is quantized, with a note."""
    found = [t for row in OWNERS if (t := tax(rows, row, rows.weights[IMPULSE]))]
    if not found:
        return []
    adjusted = holm([*(t.estimate.p for t in found), *[1.0] * (len(OWNERS) - len(found))])
    cells = [
        [OWNERS[t.row], in_words(t.seeds), interval(t.estimate), p_value(p)]
        for t, p in zip(found, adjusted, strict=False)
    ]
    note = f"Points above full precision. p: after Holm's correction over these {len(OWNERS)}."
    return [table(["quantized", "seeds", "Δ impulse noise", "p"], cells), "", note]


def _levels(rows: Rows, there: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    header = ["method", "bits", "seeds", "ID", "OOD", "Δ ID", "Δ OOD", "Δ impulse noise"]
    at_id, impulse = {"id": 1.0}, rows.weights[IMPULSE]
    cells = []
    for row in (FP, *there):
        seeds = rows.seeds(FP, row)
        runs, fp = rows.runs(row, seeds), rows.runs(FP, seeds)
        levels = [f"{mean(runs, weights):.2f}" for weights in (at_id, rows.ood)]
        weights = (at_id, rows.ood, impulse)
        deltas = ["-"] * 3 if row == FP else [interval(difference(fp, runs, w)) for w in weights]
        cells.append([row.method, row.bits, in_words(seeds), *levels, *deltas])
    return header, cells


def by_corruption(rows: Rows, bits: str) -> dict[str, tuple[Estimate, float]]:
    """Return QAT minus full precision by corruption, with p corrected over them."""
    taxes = {name: tax(rows, Row("qat", bits), rows.weights[name]) for name in rows.corruptions}
    found = {name: t.estimate for name, t in taxes.items() if t}
    return dict(
        zip(found, zip(found.values(), holm([e.p for e in found.values()]), strict=True), strict=True)
    )


def _by_corruption(rows: Rows) -> tuple[list[str], list[list[str]]]:
    columns = {bits: found for bits in BITS if (found := by_corruption(rows, bits))}
    header = ["corruption", *(f"{bits} bits" for bits in columns)]
    cells = []
    for name in rows.corruptions:
        taxes = [column[name] for column in columns.values()]
        shown = [f"**{interval(e)}**" if p < LEVEL else interval(e) for e, p in taxes]
        cells.append([name.replace("_", " "), *shown])
    return header, cells
