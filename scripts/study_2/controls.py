"""The controls of part 1, each minus QAT: averages, more compute, and other readings of the anchor."""

from flatqat.bench.records.sections import method_of
from flatqat.methods.anchor import Config
from flatqat.spec import Record
from scripts.study_2.choice import SEED, best, choice
from scripts.study_2.part import LEVEL, Part, lacking, p_cell, table
from scripts.study_2.rows import BITS, Difference, Row, Rows, corrected, difference, in_words, interval

CONTROLS = ("ema", "sam", "qat 2x steps", "anchor(deploy=latent)")
DUAL = "anchor(coupling=dual"
FEWEST_SEEDS, PLANNED = 2, range(4)
STRENGTHS = {0.01, 0.1, 1.0}  # of dual, among which the plan chooses


def names(rows: Rows) -> list[str]:
    """Return the names of the controls; that of `coupling=dual` has its strength and is there once chosen."""
    searched = _searched(rows)
    return [*CONTROLS, *([method_of(best(searched).cell)] if searched else [])]


def controls(rows: Rows, bits: str) -> list[Difference]:
    """Return the controls of a bit-width, each over the seeds that it shares with QAT."""
    qat = Row("qat", bits)
    found = []
    for row in (Row(name, bits) for name in names(rows)):
        seeds = [seed for seed in rows.seeds(qat, row) if seed in PLANNED]
        if len(seeds) >= FEWEST_SEEDS:
            estimate = difference(rows.runs(qat, seeds), rows.runs(row, seeds), rows.ood)
            found.append(Difference(row=row, seeds=tuple(seeds), estimate=estimate))
    return found


def part(rows: Rows) -> Part | None:
    """Return this part of the page, or None without a control."""
    found: list[Difference] = []
    p: list[float | None] = []
    for bits in BITS:
        of_bits = controls(rows, bits)
        found += of_bits
        p += corrected(of_bits, PLANNED, len(CONTROLS) + 1)
    if not found:
        return None
    cells = [
        [c.row.bits, c.row.method, in_words(c.seeds), interval(c.estimate), p_cell(of_control)]
        for c, of_control in zip(found, p, strict=True)
    ]
    lines = [
        table(["bits", "control", "seeds", "Δ OOD", "p"], cells),
        "",
        "Δ: points of OOD top-1 above QAT at the same bits, with the 95% interval over seeds and images. "
        f"p: after Holm's correction over the {len(CONTROLS) + 1} controls of a bit-width, so that it may be "
        f"above {LEVEL} although the interval, which is not corrected, excludes zero. `sam`, `qat "
        "2x steps` and `coupling=dual` cost twice as much as QAT.",
    ]
    shown = len({c.row.method for c in found})
    if shown < len(CONTROLS) + 1:
        lines[-1] += f" Shown: {shown} of the {len(CONTROLS) + 1}, which have at least {FEWEST_SEEDS} seeds."
    if search := choice(_searched(rows), {"strength": Config().strength}):
        words = f"The strength of `coupling=dual`, chosen by top-1 on `val` with seed {SEED} at 3 bits:"
        lines += ["", words, "", *search]
    tested = [(c, of_control) for c, of_control in zip(found, p, strict=True) if of_control is not None]
    sentences = [_sentence(tested)] if tested else []
    return Part(title="Controls", found=sentences, lines=lines, lacks=_lacks(tested))


def _sentence(tested: list[tuple[Difference, float]]) -> str:
    sure = [c for c, p in tested if p < LEVEL]
    signs = (("better", 1), ("worse", -1))
    parts = [
        f"{word}: {_names(some)}"
        for word, s in signs
        if (some := [c for c in sure if s * c.estimate.value > 0])
    ]
    if open_ := [c for c, p in tested if p >= LEVEL]:
        reach = max(max(-c.estimate.low, c.estimate.high) for c in open_)
        parts.append(
            f"undecided: {len(open_)} of {len(tested)}, whose 95% intervals lie within ±{reach:.1f} points"
        )
    return (
        f"**Controls minus QAT in OOD**, tested at {LEVEL} after Holm's correction over the "
        f"{len(CONTROLS) + 1} controls of a bit-width: {'; '.join(parts)}. They are not compared with each "
        "other."
    )


def _names(some: list[Difference]) -> str:
    return ", ".join(f"{c.row.method} at {c.row.bits} bits ({interval(c.estimate)})" for c in some)


def _searched(rows: Rows) -> list[Record]:
    """Return the runs among which the strength of `coupling=dual` is chosen; empty before all are there."""
    of_dual = [runs for row, runs in rows.records.items() if row.method.startswith(DUAL) and not row.adapt]
    searched = {_strength(runs[SEED]): runs[SEED] for runs in of_dual if SEED in runs}
    found = [record for strength, record in searched.items() if strength in STRENGTHS]
    return found if len(found) == len(STRENGTHS) else []


def _strength(record: Record) -> float:
    strength = dict(record.cell.method_args).get("strength", Config().strength)
    assert isinstance(strength, int | float)
    return float(strength)


def _lacks(tested: list[tuple[Difference, float]]) -> list[str]:
    planned = (len(CONTROLS) + 1) * len(BITS)
    return lacking(planned - len(tested), planned, f"controls on {len(PLANNED)} seeds")
