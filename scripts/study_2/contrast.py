"""Part 1 of the second study: anchor-QAT minus QAT at each bit-width, and what the plan calls the answer.

The contrast is not looked at before all seeds of a look are there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flatqat.bench.records.paired import Runs
from flatqat.console.rounded import p_value
from flatqat.metrics.estimate import Estimate
from flatqat.metrics.holm import holm
from scripts.study_2.part import Part, p_in_words, table
from scripts.study_2.rows import AT_ID, BITS, Row, Rows, difference, interval, mean, points

LOOKS = ((range(8), 0.02), (range(24), 0.03))
"""The seeds of each look and its level, of which the plan says why they add up to 0.05."""
AS_GOOD = 1.0  # points to each side of zero

APART = (
    "At {} the 95% interval excludes zero, but the plan calls this neither better nor worse: the interval is "
    "for one contrast, while p is corrected for three contrasts and compared with the level of one of two "
    "looks."
)
HEADER = ["bits", "QAT", "anchor", "Δ OOD", "± half", "Δ ID", "p", "answer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """Anchor-QAT minus QAT at one bit-width: in OOD and beside it in ID, and its place in the plan."""

    bits: str
    ood: Estimate
    id: Estimate
    qat: float
    anchor: float
    p: float
    level: float
    tests: int

    @property
    def detectable(self) -> float:
        """The true difference that 80% of such looks would find, with Holm's first factor."""
        return self.ood.detectable(self.level / self.tests)

    @property
    def answer(self) -> str:
        """What the plan calls it: better, worse, as good, or undecided."""
        if self.p < self.level:
            return "better" if self.ood.value > 0 else "worse"
        return "as good" if max(-self.ood.low, self.ood.high) < AS_GOOD else "undecided"

    @property
    def cells(self) -> list[str]:
        """The cells of its row in a table with the columns HEADER."""
        levels = [points(self.qat), points(self.anchor)]
        half = points(self.ood.half_width())
        return [
            self.bits,
            *levels,
            interval(self.ood),
            half,
            interval(self.id),
            p_value(self.p),
            self.answer,
        ]


def contrasts(rows: Rows) -> list[Contrast]:
    """Return anchor minus QAT at each bit-width, by the last look taken at it; nothing before the first.

    A look is taken once all its seeds are there, at the bit-widths that the one before left undecided. Its
    p-values are corrected over all three: what was decided before stands first, and what was as good last.
    """
    found: dict[str, Contrast] = {}
    for seeds, level in LOOKS:
        open_ = [bits for bits in BITS if bits not in found or found[bits].answer == "undecided"]
        pairs = {bits: (Row("qat", bits), Row("anchor", bits)) for bits in open_}
        there = [rows.seeds(*pair) for pair in pairs.values()]
        if not open_ or not all(set(seeds) <= set(of_pair) for of_pair in there):
            break
        runs = {
            bits: (rows.runs(qat, seeds), rows.runs(anchor, seeds)) for bits, (qat, anchor) in pairs.items()
        }
        before = [float(found[bits].answer == "as good") for bits in BITS if bits not in open_]
        found |= {c.bits: c for c in _of_look(rows, runs, level, before)}
    return [found[bits] for bits in BITS if bits in found]


def _of_look(
    rows: Rows, runs: Mapping[str, tuple[Runs, Runs]], level: float, before: Sequence[float]
) -> list[Contrast]:
    ood = {bits: difference(*pair, rows.ood) for bits, pair in runs.items()}
    adjusted = holm([*(estimate.p for estimate in ood.values()), *before])[: len(ood)]
    return [
        Contrast(
            bits=bits,
            ood=ood[bits],
            id=difference(qat, anchor, AT_ID),
            qat=mean(qat, rows.ood),
            anchor=mean(anchor, rows.ood),
            p=p,
            level=level,
            tests=len(runs) + before.count(1.0),
        )
        for (bits, (qat, anchor)), p in zip(runs.items(), adjusted, strict=True)
    ]


def sentence(contrast: Contrast) -> str:
    """Say what was found at a bit-width."""
    words = {
        "better": "anchor-QAT is better than QAT",
        "worse": "anchor-QAT is worse than QAT",
        "as good": f"anchor-QAT is as good as QAT, to within {AS_GOOD:g} point",
        "undecided": "undecided",
    }
    return (
        f"**{contrast.bits} bits: {words[contrast.answer]}.** OOD top-1 {interval(contrast.ood)} points "
        f"({contrast.qat:.1f}% with QAT, {contrast.anchor:.1f}% with the anchor), p "
        f"{p_in_words(contrast.p)} after Holm's correction over the bit-widths, tested at "
        f"{contrast.level:g}, the level of this look; {contrast.ood.seeds} seeds, {contrast.ood.images:,} "
        f"images a shift. Given the scatter found here, such a study has 80% power to find a difference of "
        f"{contrast.detectable:.2f}."
    )


def part(rows: Rows) -> Part | None:
    """Return this part of the page, or None before the first look."""
    found = contrasts(rows)
    if not found:
        return None
    single = max(contrast.ood.detectable(0.05, power=0.9) for contrast in found)
    worst = max(contrast.detectable for contrast in found)
    lines = [
        table(HEADER, [contrast.cells for contrast in found]),
        "",
        "OOD: top-1 in percent, the mean over 45 shifts. Δ: anchor minus QAT with its 95% interval over "
        "seeds and images; ± half: how far that of OOD reaches to each side. p: after Holm's correction over "
        "the bit-widths of a look. A look is one of the two analyses that the plan allows, after 8 and after "
        "24 seeds.",
        "",
        "The plan expected 8 seeds to find a difference of 1.0 point with 90% power. Given the scatter found "
        f"here, a single test at 0.05 has 90% power for {single:.2f} points at every bit-width. The look, "
        f"whose level is lower and whose p is corrected, has 80% power for {worst:.2f}.",
    ]
    if all(contrast.answer != "undecided" for contrast in found):
        lines[-1] += " No bit-width is undecided, so by the plan no other look is taken."
    apart = [c for c in found if c.answer not in ("better", "worse") and not c.ood.low <= 0 <= c.ood.high]
    if apart:
        lines += ["", APART.format(" and ".join(f"{c.bits} bits" for c in apart))]
    return Part(title="Anchor against QAT", found=[sentence(contrast) for contrast in found], lines=lines)
