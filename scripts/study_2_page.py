"""Write the second study's page from results/study-2; `--check` only compares.

    python -m scripts.study_2_page [--check]

docs/study-2-plan.md says what is compared with what, and what decides. The contrast is not looked at before
all seeds of a look are there.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from flatqat.bench.records.paired import Runs, differences, mean_weights
from flatqat.bench.records.sections import Section, sections
from flatqat.bench.records.store import Store
from flatqat.console.rounded import with_interval
from flatqat.metrics.contributions import Weights
from flatqat.metrics.estimate import Estimate
from flatqat.metrics.holm import holm

ROOT = Path(__file__).parent.parent
RESULTS, PAGE = ROOT / "results" / "study-2", ROOT / "docs" / "study-2.md"
SUITE, BITS, ROWS = "cifar10-c-live-135", ("4", "3", "2"), ("qat", "anchor")
LOOKS = ((range(8), 0.02), (range(24), 0.03))
"""The seeds of each look and its level, of which the plan says why they add up to 0.05."""
AS_GOOD = 1.0  # points to each side of zero


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """A method minus another at one bit-width: in OOD and beside it in ID, and its place in the plan."""

    bits: str
    ood: Estimate
    id: Estimate
    levels: Mapping[str, float]
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


def contrasts(section: Section, store: Store) -> list[Contrast]:
    """Return anchor minus QAT at each bit-width, by the last look taken at it; nothing before the first.

    A look is taken once all its seeds are there, at the bit-widths that the one before left undecided. Its
    p-values are corrected over all three: what was decided before stands first, and what was as good last.
    """
    found: dict[str, Contrast] = {}
    for seeds, level in LOOKS:
        open_ = [bits for bits in BITS if bits not in found or found[bits].answer == "undecided"]
        rows = {bits: {name: section.rows.get((name, bits), []) for name in ROWS} for bits in open_}
        there = [{r.cell.seed for r in of_row} for pair in rows.values() for of_row in pair.values()]
        if not open_ or not set.intersection(*there) >= set(seeds):
            break
        runs = {
            bits: {
                name: Runs.of([r for r in of_row if r.cell.seed in seeds], store)
                for name, of_row in pair.items()
            }
            for bits, pair in rows.items()
        }
        before = [float(found[bits].answer == "as good") for bits in BITS if bits not in open_]
        found |= {c.bits: c for c in _of_look(runs, level, before)}
    return [found[bits] for bits in BITS if bits in found]


def _of_look(runs: Mapping[str, Mapping[str, Runs]], level: float, before: Sequence[float]) -> list[Contrast]:
    ood = {bits: difference(pair, mean_weights(pair["qat"].record)) for bits, pair in runs.items()}
    adjusted = holm([*(estimate.p for estimate in ood.values()), *before])[: len(ood)]
    return [
        Contrast(
            bits=bits,
            ood=ood[bits],
            id=difference(pair, {"id": 1.0}),
            levels={name: mean(of_row) for name, of_row in pair.items()},
            p=p,
            level=level,
            tests=len(runs) + before.count(1.0),
        )
        for (bits, pair), p in zip(runs.items(), adjusted, strict=True)
    ]


def mean(runs: Runs) -> float:
    """Return OOD of a row, in percent."""
    components = runs.components(mean_weights(runs.record))
    assert components  # every seed has the same images
    return float(components.means[0])


def difference(runs: Mapping[str, Runs], weights: Weights) -> Estimate:
    """Return the second row minus the first in a weighted sum over shifts, by the scatter of the two."""
    base, other = runs
    shares = {name: of_row.shares(weights) for name, of_row in runs.items()}
    return differences([shares], base, nested=False)[other]


def answer(contrast: Contrast) -> str:
    """Say in one sentence what was found at a bit-width."""
    words = {
        "better": "anchor-QAT is better than QAT",
        "worse": "anchor-QAT is worse than QAT",
        "as good": f"anchor-QAT is as good as QAT, to within {AS_GOOD:g} point",
        "undecided": "undecided",
    }
    more = f"; a difference of {contrast.detectable:.1f} would have been found in 80% of such studies"
    return (
        f"**{contrast.bits} bits: {words[contrast.answer]}.** OOD top-1 {interval(contrast.ood)} points "
        f"({contrast.levels['qat']:.1f}% with QAT, {contrast.levels['anchor']:.1f}% with the anchor), "
        f"p = {contrast.p:.3f} after Holm's correction, tested at {contrast.level:g}; "
        f"{contrast.ood.seeds} seeds, {contrast.ood.images:,} images a shift{more}."
    )


def interval(estimate: Estimate) -> str:
    """Return an estimate and its 95% interval."""
    return with_interval(estimate.value, estimate.low, estimate.high, "+.2f")


def page(store: Store) -> str:
    """Return the page. Raises SystemExit if no look can be taken yet."""
    whole = {(name, bits) for name in ROWS for bits in BITS}
    plain = sections(r for r in store.records(SUITE) if not r.cell.adapt)
    section = next((one for one in plain if one.rows.keys() >= whole), None)
    if section is None or not (found := contrasts(section, store)):
        sys.exit(
            f"expected all seeds of a look in {store.root}, which the plan wants before anything is read"
        )
    header = ["bits", "QAT", "anchor", "Δ OOD", "± half", "Δ ID", "p", "answer"]
    table = [
        [
            c.bits,
            *(f"{c.levels[name]:.2f}" for name in ("qat", "anchor")),
            interval(c.ood),
            f"{c.ood.half_width():.2f}",
            interval(c.id),
            f"{c.p:.3f}",
            c.answer,
        ]
        for c in found
    ]
    lines = [
        "# Does the anchor beat QAT under shift? The second study",
        "",
        *(f"- {answer(contrast)}" for contrast in found),
        "",
        "[The plan](study-2-plan.md) was committed before the first cell was run. It says what is compared, "
        "at which levels, and what counts as an answer.",
        "",
        "## Anchor against QAT",
        "",
        tabulate(table, header, tablefmt="pipe", disable_numparse=True),
        "",
        "OOD: top-1 in percent, the mean over 45 shifts. Δ: anchor minus QAT with its 95% interval over "
        f"seeds and images. p: after Holm's correction over the bit-widths of a look. {section.protocol}.",
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the page, or return 1 if it is out of date."""
    after = page(Store(RESULTS))
    if "--check" in sys.argv[1:]:
        return int(not PAGE.exists() or PAGE.read_text(encoding="utf-8") != after)
    PAGE.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
