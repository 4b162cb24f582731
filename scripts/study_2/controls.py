"""The controls of part 1: what costs as much as the anchor or averages as it does, each minus QAT."""

from flatqat.bench.records.paired import differences
from flatqat.console.rounded import p_value
from flatqat.methods.anchor import Config
from flatqat.metrics.holm import holm
from flatqat.spec import Record
from scripts.study_2 import choice
from scripts.study_2.part import Part, table
from scripts.study_2.rows import BITS, Difference, Row, Rows, in_words, interval

CONTROLS = ("ema", "sam", "qat 2x steps", "anchor(deploy=latent)")
DUAL = "anchor(coupling=dual"
FEWEST_SEEDS, PLANNED_SEEDS, LEVEL = 2, 4, 0.05


def controls(rows: Rows, bits: str) -> list[Difference]:
    """Return the controls that are there at a bit-width, over the seeds that they share with QAT.

    p is corrected over all controls of the plan.
    """
    qat = Row("qat", bits)
    named = [row for row in rows.records if row.bits == bits and not row.adapt]
    there = [row for row in named if row.method in CONTROLS or row.method.startswith(DUAL)]
    there = [row for row in there if len(rows.seeds(qat, row)) >= FEWEST_SEEDS]
    seeds = rows.seeds(qat, *there) if there else []
    if len(seeds) < FEWEST_SEEDS:
        return []
    shares = {row: rows.runs(row, seeds).shares(rows.ood) for row in (qat, *there)}
    found = differences([shares], qat, nested=False)
    missing = [1.0] * (len(CONTROLS) + 1 - len(there))  # of the plan's family, they reject nothing
    adjusted = holm([*(found[row].p for row in there), *missing])
    return [
        Difference(row=row, seeds=tuple(seeds), estimate=found[row], p=p)
        for row, p in zip(there, adjusted, strict=False)
    ]


def part(rows: Rows) -> Part | None:
    """Return this part of the page, or None without a control."""
    found = [control for bits in BITS for control in controls(rows, bits)]
    if not found:
        return None
    better = [c for c in found if c.p < LEVEL and c.estimate.value > 0]
    worse = [c for c in found if c.p < LEVEL and c.estimate.value < 0]
    open_ = [c for c in found if c.p >= LEVEL]
    parts = [f"{word}: {_names(some)}" for word, some in (("better", better), ("worse", worse)) if some]
    if open_:
        reach = max(max(-c.estimate.low, c.estimate.high) for c in open_)
        parts.append(f"undecided: {len(open_)} of {len(found)}, all within ±{reach:.1f} points")
    lines = [
        table(
            ["bits", "control", "seeds", "Δ OOD", "p"],
            [
                [c.row.bits, c.row.method, in_words(c.seeds), interval(c.estimate), p_value(c.p)]
                for c in found
            ],
        ),
        "",
        "Δ: points of OOD top-1 above QAT at the same bits, with the 95% interval over seeds and images. "
        f"p: after Holm's correction over the {len(CONTROLS) + 1} controls of a bit-width. `sam` and `qat "
        "2x steps` cost twice as much as QAT.",
    ]
    if search := choice.choice(_searched(rows), {"strength": Config().strength}):
        words = f"The strength of `coupling=dual`, by top-1 on `val` with seed {choice.SEED} at 3 bits:"
        lines += ["", words, "", *search]
    sentence = f"**Controls minus QAT in OOD.** {'; '.join(parts)}."
    return Part(title="Controls", found=[sentence], lines=lines, lacks=_lacks(found))


def _searched(rows: Rows) -> list[Record]:
    """Return the runs among which the strength of `coupling=dual` was chosen."""
    of_dual = [runs for row, runs in rows.records.items() if row.method.startswith(DUAL) and not row.adapt]
    return [runs[choice.SEED] for runs in of_dual if choice.SEED in runs]


def _lacks(found: list[Difference]) -> list[str]:
    """Say which controls are not there at all bit-widths with as many seeds as the plan has."""
    names = {c.row.method for c in found}
    missing = [name for name in CONTROLS if name not in names]
    if not any(name.startswith(DUAL) for name in names):
        missing.append(f"{DUAL})")
    short = len(found) < len(names) * len(BITS) or any(len(c.seeds) < PLANNED_SEEDS for c in found)
    lacks = [f"the controls {', '.join(f'`{name}`' for name in missing)}"] if missing else []
    return [*lacks, f"more seeds of the controls ({PLANNED_SEEDS} are planned)"] if short else lacks


def _names(some: list[Difference]) -> str:
    return ", ".join(f"{c.row.method} at {c.row.bits} bits ({interval(c.estimate)})" for c in some)
