"""Part 2 for a second network: EfficientNet-Lite0 by PTQ, under corruption and on shapes."""

from flatqat.bench.records.sections import bits_in_words
from flatqat.bench.records.store import Store
from flatqat.metrics.holm import holm
from scripts.study_2.part import LEVEL, Part, lacking, table
from scripts.study_2.rows import AT_ID, FP, Row, Rows, collapsed, difference, interval, mean, points
from scripts.study_2.tax import IMPULSE

MODEL, CORRUPTIONS, SHAPES = "timm:tf_efficientnet_lite0", "imagenet-c-live", "shape-16"
PLANNED = {CORRUPTIONS: ("8", "6", "4", "w4a32", "w32a4"), SHAPES: ("8", "6", "4")}
BY_CORRUPTION = "6"


def part(store: Store) -> Part | None:
    """Return this part of the page, or None without full precision and another row."""
    found, lines, lacks = [], [], []
    for suite, words in ((CORRUPTIONS, "under corruption"), (SHAPES, "on edge drawings and silhouettes")):
        rows = Rows.of(store, suite, lambda cell: cell.model == MODEL)
        planned = [Row("ptq", bits) for bits in PLANNED[suite]]
        there = [row for row in planned if row in rows.records and FP in rows.records]
        missing = len(planned) - len(there)
        lacks += lacking(missing, len(planned), f"rows of a pretrained network {words}")
        if not there:
            continue
        costs = "; ".join(f"{bits_in_words(row.bits)} {_delta(rows, row)}" for row in there)
        found.append(
            f"**A pretrained network {words}** (exploratory). PTQ minus full precision, points of OOD top-1: "
            f"{costs}."
        )
        lines += ["", f"`{suite}`, {_images(rows)}:", "", _table(rows, there)]
        if suite == CORRUPTIONS and Row("ptq", BY_CORRUPTION) in there:
            lines += ["", _by_corruption(rows)]
    if not found:
        return None
    note = (
        "EfficientNet-Lite0 with its ImageNet weights, rounded without training: one network, so the 95% "
        "intervals are over images only. The ImageNet images may be of its training set, and the ranges of "
        "inputs are set on them, so read differences, not accuracies. Edge drawings and silhouettes are "
        "taken as independent images. Identical: right and wrong on the same images. "
        "[Collapsed](measures.md#extra-gap): more than a quarter of what full precision has above chance in "
        "ID is lost."
    )
    return Part(title="A pretrained network", found=found, lines=[note, *lines], lacks=lacks)


def _delta(rows: Rows, row: Row) -> str:
    fp, rounded = rows.runs(FP, [0]), rows.runs(row, [0])
    return interval(difference(fp, rounded, rows.ood)) + " (collapsed in ID, too)" * collapsed(rows, row)


def _images(rows: Rows) -> str:
    counts = {shift: scores["top1"].n for shift, scores in rows.record.scores.items()}
    each = next(n for shift, n in counts.items() if shift in rows.ood)
    return f"{each:,} images a shift, {counts['id']:,} in ID"


def _table(rows: Rows, there: list[Row]) -> str:
    shifts = rows.corruptions if len(rows.corruptions) < 5 else [IMPULSE]
    named = {name.replace("_", " "): rows.weights[name] for name in shifts}
    weights = {"ID": AT_ID, "OOD": rows.ood, **named}
    fp, cells = rows.runs(FP, [0]), []
    for row in (FP, *there):
        runs = rows.runs(row, [0])
        levels = [points(mean(runs, weights[name])) for name in ("ID", "OOD")]
        deltas = ["-" if row == FP else interval(difference(fp, runs, w)) for w in weights.values()]
        cells.append([row.method, row.bits, *levels, *deltas])
    return table(["method", "bits", "ID", "OOD", *(f"Δ {name}" for name in weights)], cells)


def _by_corruption(rows: Rows) -> str:
    """Say on which corruptions the rounded network is better or worse than full precision."""
    fp, rounded = rows.runs(FP, [0]), rows.runs(Row("ptq", BY_CORRUPTION), [0])
    taxes = {name: difference(fp, rounded, rows.weights[name]) for name in rows.corruptions}
    sure = {n for n, p in zip(taxes, holm([t.p for t in taxes.values()]), strict=True) if p < LEVEL}
    better = [n.replace("_", " ") for n in taxes if n in sure and taxes[n].value > 0]
    worse = [n for n in taxes if n in sure and taxes[n].value < 0]
    gain = f" and better on {', '.join(better)}" if better else ", and better on none,"
    return (
        f"Exploratory, too, for this network on these images: at {BY_CORRUPTION} bits it is worse on "
        f"{len(worse)} of {len(taxes)} corruptions{gain} after Holm's correction; on impulse noise the "
        f"difference is {interval(taxes[IMPULSE])} points."
    )
