"""Part 2 of the second study: rows minus full precision, by corruption and severity."""

import csv
import io
from collections.abc import Iterable, Sequence
from itertools import product

from flatqat.metrics.contributions import Weights
from flatqat.metrics.estimate import Estimate
from scripts.study_2 import controls
from scripts.study_2.part import LEVEL, Part, lacking, p_cell, p_in_words, table
from scripts.study_2.rows import (
    AT_ID,
    BITS,
    FP,
    SEVERITIES,
    Difference,
    Row,
    Rows,
    collapsed,
    corrected,
    difference,
    in_words,
    interval,
    mean,
    points,
)

IMPULSE = "impulse_noise"
FEWEST_SEEDS, PLANNED, OF_HYPOTHESIS = 2, range(4), range(8)
QAT_3 = Row("qat", "3")
OWNERS = {
    Row("qat", "w3a32"): "weights alone (w3a32)",
    Row("qat", "w32a3"): "inputs alone (w32a3)",
    Row("qat", "w8a3"): "inputs, with weights of 8 bits (w8a3)",
    Row("qat", "w32a3@clip"): "clipping alone",
}
"""The parts of quantization that may gain on impulse noise."""
SHOWN = (
    *(Row(method, bits) for method in ("qat", "anchor") for bits in BITS),
    *(Row("qat", bits) for bits in ("w3a32", "w8a3", "w32a3", "w32a3@clip")),
    *(Row("ptq", bits) for bits in ("4", "3", "w3a32", "w8a3", "w32a3")),
)


def tax(rows: Rows, row: Row, weights: Weights) -> Difference | None:
    """Return what a row has more than full precision, or None where too few seeds have both."""
    seeds = rows.seeds(FP, row)
    if len(seeds) < FEWEST_SEEDS:
        return None
    estimate = difference(rows.runs(FP, seeds), rows.runs(row, seeds), weights)
    return Difference(row=row, seeds=tuple(seeds), estimate=estimate)


def part(rows: Rows) -> Part | None:
    """Return this part of the page, or None without full precision and QAT."""
    there = [row for row in SHOWN if len(rows.seeds(FP, row)) >= FEWEST_SEEDS]
    if not any(row.method == "qat" for row in there):
        return None
    found = [cost(rows), *hypotheses(rows), *whose_gain(rows)]
    lines = [table(*_levels(rows, there)), "", LEVELS_NOTE + _collapsed(rows, there)]
    if owners := _owners(rows):
        lines += ["", "Parts of the quantization on impulse noise:", "", *_by_owner(owners)]
    over = f"QAT minus full precision, seeds {_seeds(rows)}, points of top-1, the mean over"
    lines += ["", "By corruption:", "", table(*_by_corruption(rows)), "", f"{over} {CORRUPTION_NOTE}"]
    lines += ["", "By severity:", "", table(*_by_severity(rows)), "", f"{over} {SEVERITY_NOTE}"]
    return Part(title="What low bits cost, and where they help", found=found, lines=lines, lacks=_lacks(rows))


def _lacks(rows: Rows) -> list[str]:
    planned = [row for row in SHOWN if row.method != "anchor"]
    missing = sum(not set(PLANNED) <= set(rows.seeds(FP, row)) for row in planned)
    return lacking(missing, len(planned), f"rows of the profile on {len(PLANNED)} seeds")


LEVELS_NOTE = (
    "Top-1 in percent; OOD is the mean over 45 shifts. Δ: minus full precision on the same seeds, in points, "
    "with the 95% interval over seeds and images, of each difference alone. A network in full precision "
    "is trained for as many steps as QAT. `w3a32` has weights of 3 bits and inputs in full precision, "
    "`w32a3` the reverse."
)
CORRUPTION_NOTE = (
    "severities 1, 3 and 5. Bold: p below 0.05 after Holm's correction over the 15 corruptions of a "
    "bit-width, impulse noise among them."
)
SEVERITY_NOTE = (
    "15 corruptions: exploratory, as is every row by corruption and severity, in [a file of its "
    "own](study-2-profile.csv)."
)
CLIPPING = (
    "Clipping alone (`@clip`, the plugin `scripts/clip.py`): inputs are clipped to a learned range as at 3 "
    "bits, but not rounded. The first and the last layer have 8 bits wherever others have 3, and are rounded "
    "in every row."
)


def _collapsed(rows: Rows, there: Sequence[Row]) -> str:
    """Name the rows that have collapsed in ID; nothing where none has."""
    lost = [f"{row.method} at {row.bits}" for row in there if collapsed(rows, row)]
    return f" [Collapsed](measures.md#extra-gap) in ID: {', '.join(lost)}." if lost else ""


def cost(rows: Rows) -> str:
    """Say what QAT costs in OOD."""
    taxes = [t for bits in BITS if (t := tax(rows, Row("qat", bits), rows.ood))]
    each = "; ".join(f"{t.row.bits} bits {interval(t.estimate)}" for t in taxes)
    return (
        "**What low bits cost under shift** (exploratory). QAT minus full precision, points of OOD top-1: "
        f"{each} (seeds {_seeds(rows)})."
    )


def _seeds(rows: Rows) -> str:
    """Return the seeds of QAT at each of BITS."""
    each = (rows.seeds(FP, Row("qat", bits)) for bits in BITS)
    return " / ".join(dict.fromkeys(in_words(seeds) for seeds in each if len(seeds) >= FEWEST_SEEDS))


def hypotheses(rows: Rows) -> list[str]:
    """Say whether the plan's two hypotheses on impulse noise hold, once all their seeds are there."""
    if not set(OF_HYPOTHESIS) <= set(rows.seeds(FP, QAT_3)):
        return []
    fp, qat = (rows.runs(row, OF_HYPOTHESIS) for row in (FP, QAT_3))
    gain = difference(fp, qat, rows.weights[IMPULSE])
    slope = difference(fp, qat, {f"{IMPULSE}/5": 1.0, f"{IMPULSE}/1": -1.0})
    each = ", ".join(f"{interval(difference(fp, qat, {f'{IMPULSE}/{s}': 1.0}))} at {s}" for s in SEVERITIES)
    return [
        f"**Where low bits help.** On impulse noise, 3 bits minus full precision is {interval(gain)} points "
        f"(p {p_in_words(gain.p)}, the plan's hypothesis; seeds {in_words(OF_HYPOTHESIS)}): "
        f"{_verdict(gain, 'a gain', 'a loss', gain.p)}. The difference at severity 5 exceeds that at "
        f"severity 1 by {interval(slope)} points (p {p_in_words(slope.p)}): "
        f"{_verdict(slope, 'it rises', 'it falls', slope.p)}. By severity it is {each}."
    ]


def _verdict(estimate: Estimate, above: str, below: str, p: float) -> str:
    if p >= LEVEL:
        return "undecided"
    return above if estimate.value > 0 else below


def whose_gain(rows: Rows) -> list[str]:
    """Say which parts of quantization gain on impulse noise, once all of them have their seeds."""
    owners = _owners(rows)
    tested = [(t, p) for t, p in owners if p is not None]
    if len(tested) < len(OWNERS):
        return []
    each = "; ".join(
        f"{OWNERS[t.row]} {interval(t.estimate)} (p {p_in_words(p)}): "
        f"{_verdict(t.estimate, 'a gain', 'a loss', p)}"
        for t, p in tested
    )
    fp, qat = (rows.runs(row, PLANNED) for row in (FP, QAT_3))
    whole = difference(fp, qat, rows.weights[IMPULSE])
    return [
        f"**Which parts gain alone.** Points of top-1 minus full precision on impulse noise, seeds "
        f"{in_words(PLANNED)}, p after Holm's correction over {len(OWNERS)}, tested at {LEVEL}: {each}. The "
        f"parts are not compared with each other. All of 3 bits, on these seeds: {interval(whole)}."
    ]


def _owners(rows: Rows) -> list[tuple[Difference, float | None]]:
    """Return the differences on impulse noise by what is quantized, with their corrected p."""
    found = [t for row in OWNERS if (t := tax(rows, row, rows.weights[IMPULSE]))]
    return list(zip(found, corrected(found, PLANNED, len(OWNERS)), strict=True))


def _by_owner(owners: Iterable[tuple[Difference, float | None]]) -> list[str]:
    """Return a table of the differences, with a note."""
    cells = [[OWNERS[t.row], in_words(t.seeds), interval(t.estimate), p_cell(p)] for t, p in owners]
    note = (
        f"Δ: minus full precision, in points. p: after Holm's correction over these {len(OWNERS)}. {CLIPPING}"
    )
    return [table(["quantized", "seeds", "Δ impulse noise", "p"], cells), "", note]


def _levels(rows: Rows, there: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    header = ["method", "bits", "seeds", "ID", "OOD", "Δ ID", "Δ OOD", "Δ impulse noise"]
    at_id, impulse = AT_ID, rows.weights[IMPULSE]
    cells = []
    for row in (FP, *there):
        seeds = rows.seeds(FP, row)
        runs, fp = rows.runs(row, seeds), rows.runs(FP, seeds)
        levels = [points(mean(runs, weights)) for weights in (at_id, rows.ood)]
        weights = (at_id, rows.ood, impulse)
        deltas = ["-"] * 3 if row == FP else [interval(difference(fp, runs, w)) for w in weights]
        cells.append([row.method, row.bits, in_words(seeds), *levels, *deltas])
    return header, cells


def by_corruption(rows: Rows, bits: str) -> dict[str, tuple[Estimate, float | None]]:
    """Return QAT minus full precision by corruption, with p corrected over them."""
    taxes = {name: tax(rows, Row("qat", bits), rows.weights[name]) for name in rows.corruptions}
    found = {name: t for name, t in taxes.items() if t}
    adjusted = corrected(list(found.values()), PLANNED, len(found))
    return {name: (t.estimate, p) for (name, t), p in zip(found.items(), adjusted, strict=True)}


def is_sure(p: float | None) -> bool:
    """Say whether a corrected p is below the level; what is not tested yet is not."""
    return p is not None and p < LEVEL


def _by_corruption(rows: Rows) -> tuple[list[str], list[list[str]]]:
    columns = {bits: found for bits in BITS if (found := by_corruption(rows, bits))}
    cells = []
    for name in rows.corruptions:
        taxes = [column[name] for column in columns.values()]
        shown = [f"**{interval(e)}**" if is_sure(p) else interval(e) for e, p in taxes]
        cells.append([name.replace("_", " "), *shown])
    return ["corruption", *_named(columns)], cells


def _by_severity(rows: Rows) -> tuple[list[str], list[list[str]]]:
    there = [bits for bits in BITS if tax(rows, Row("qat", bits), rows.ood)]
    cells = []
    for severity in SEVERITIES:
        weights = {f"{name}/{severity}": 1 / len(rows.corruptions) for name in rows.corruptions}
        taxes = [t for bits in there if (t := tax(rows, Row("qat", bits), weights))]
        cells.append([str(severity), *(interval(t.estimate) for t in taxes)])
    return ["severity", *_named(there)], cells


def _named(bits: Iterable[str]) -> list[str]:
    return [f"{b} bits" for b in bits]


def profile(rows: Rows) -> str:
    """Return all rows minus full precision by corruption and severity, as CSV."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["method", "bits", "seeds", "corruption", "severity", "difference", "low", "high"])
    shown = [*SHOWN, *(Row(name, bits) for name in controls.names(rows) for bits in BITS)]
    for row, name, severity in product(shown, rows.corruptions, SEVERITIES):
        if t := tax(rows, row, {f"{name}/{severity}": 1.0}):
            numbers = map(points, (t.estimate.value, t.estimate.low, t.estimate.high))
            lines.writerow([row.method, row.bits, len(t.seeds), name, severity, *numbers])
    return text.getvalue()
