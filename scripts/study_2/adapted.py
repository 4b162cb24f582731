"""Part 4 of the second study: BatchNorm re-estimated on each shift, and whether the tax shrinks with it."""

from scripts.study_2.part import LEVEL, Part, lacking, p_in_words, table
from scripts.study_2.rows import (
    BITS,
    FP,
    Difference,
    Row,
    Rows,
    between,
    corrected,
    difference,
    in_words,
    interval,
    mean,
    minus,
    points,
)

WAYS = {"bn": "BatchNorm", "bn+steps": "BatchNorm and ranges of inputs"}
FEWEST_SEEDS, PLANNED = 2, range(3)


def part(rows: Rows) -> Part | None:
    """Return this part of the page, or None without adapted runs."""
    cells, tested = [], []
    for adapt in WAYS:
        for row in (FP, *(Row("qat", bits) for bits in BITS)):
            adapted = Row(row.method, row.bits, adapt)
            seeds = rows.seeds(row, adapted)
            if len(seeds) < FEWEST_SEEDS:
                continue
            plain, after = rows.runs(row, seeds), rows.runs(adapted, seeds)
            levels = [points(mean(runs, rows.ood)) for runs in (plain, after)]
            gain = interval(difference(plain, after, rows.ood))
            cells.append([row.method, row.bits, WAYS[adapt], in_words(seeds), *levels, gain])
        tested.append([shrinks for bits in BITS if (shrinks := _shrinks(rows, bits, adapt))])
    if not cells:
        return None
    found = []
    for adapt, of_way in zip(WAYS, tested, strict=True):
        each = "; ".join(
            f"{d.row.bits} bits {interval(d.estimate)} (p {p_in_words(p)}: {_verdict(d, p)})"
            for d, p in zip(of_way, corrected(of_way, PLANNED, len(BITS)), strict=True)
            if p is not None
        )
        if each:
            found.append(
                f"**{WAYS[adapt]} re-estimated on each shift.** Points by which the OOD tax of QAT, what "
                f"it loses to full precision, shrinks (negative: grows): {each}; p after Holm's "
                "correction over the bit-widths, tested at "
                f"{LEVEL}; intervals are not corrected."
            )
    lines = [
        table(["method", "bits", "re-estimated", "seeds", "OOD", "OOD, adapted", "Δ"], cells),
        "",
        "OOD top-1 in percent, as trained and with what is named re-estimated on the unlabeled images of "
        "each shift. Δ: the gain, with its 95% interval over seeds and images. Full precision has no "
        "ranges of inputs, so both ways are the same for it.",
    ]
    planned = len(WAYS) * len(BITS)
    missing = planned - sum(set(PLANNED) <= set(d.seeds) for of_way in tested for d in of_way)
    lacks = lacking(missing, planned, "comparisons with adapted BatchNorm")
    return Part(title="BatchNorm under shift", found=found, lines=lines, lacks=lacks)


def _verdict(change: Difference, p: float) -> str:
    if p >= LEVEL:
        return "undecided"
    return "shrinks" if change.estimate.value > 0 else "grows"


def _shrinks(rows: Rows, bits: str, adapt: str) -> Difference | None:
    """Return (QAT - fp) adapted minus (QAT - fp) as trained, in OOD, or None where runs are missing."""
    pairs = [(Row("qat", bits), FP), (Row("qat", bits, adapt), Row(FP.method, FP.bits, adapt))]
    seeds = rows.seeds(*(row for pair in pairs for row in pair))
    if len(seeds) < FEWEST_SEEDS:
        return None
    plain, adapted = (minus(*(rows.runs(row, seeds).shares(rows.ood) for row in pair)) for pair in pairs)
    return Difference(row=pairs[1][0], seeds=tuple(seeds), estimate=between(plain, adapted))
