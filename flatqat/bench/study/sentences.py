"""The sentences of a study's page: chosen by the numbers, a negative or undecided answer said as such."""

import math
from collections.abc import Iterable, Sequence
from statistics import median

from flatqat.bench.study.compare import GAP, ID, LEVEL, MAIN, OOD, Comparison
from flatqat.bench.study.correlations import Association, Question
from flatqat.bench.study.study import Study

SPACE = {
    "quantized": "at the deployed weights (space `quantized`)",
    "latent": "at the latent weights (space `latent`)",
}


def who_wins(study: Study) -> str:
    """Which methods beat the baseline in OOD, which fall behind, and how small a difference can be seen."""
    name = f"`{study.baseline.method}`"
    tested = _sorted(c for c in study.main if c.what == OOD and c.p is not None)
    if not tested:
        return f"No method has all seeds of {name}: nothing can be said."
    better = [c for c in tested if c.is_sure() and c.interval.value > 0]
    worse = [c for c in tested if c.is_sure() and c.interval.value < 0]
    open_ = [c for c in tested if not c.is_sure()]
    level = f"{study.baseline.mean(study.quantities[OOD]):.1f}%"
    says = (
        f"Of {len(tested)} methods beside {name} (OOD top-1 {level}), better under shift: {_listed(better)}; "
        f"worse: {_listed(worse)}; undecided: {len(open_)}"
    )
    if open_:
        ends = f"{open_[-1].interval.value:+.2f} to {open_[0].interval.value:+.2f}"
        says += f" (from {ends} points; one of about {detectable(study):.2f} would have been sure)"
    return f"{says}."


def bits_in_words(study: Study) -> str:
    """`4 bits`; a longer text of bits as it is, for Markdown."""
    return f"{study.bits} bits" if study.bits.isdecimal() else study.bits.replace("*", r"\*")


def id_and_gap(study: Study) -> str:
    """The same for accuracy in distribution and for the gap."""
    return " ".join(
        _side(study, what, words) for what, words in ((ID, "ID top-1"), (GAP, "The gap (less is better)"))
    )


def by_family(study: Study) -> str:
    """Where differences are, family by family."""
    parts = []
    for family in study.family_names:
        sure = _sorted(c for c in study.families if c.what == family and c.is_sure())
        parts.append(f"{family}: {_values(sure)}" if sure else f"{family}: nothing decided")
    return "; ".join(parts) + "." if parts else ""


def cost(study: Study) -> str:
    """What the baseline loses to full precision; empty where that is not stored."""
    if study.reference is None:
        return ""
    name = study.reference.method
    known = [(what, c.interval) for what in MAIN if (c := study.find(name, what))]
    if not known:
        return ""
    gone = ", ".join(f"{-i.value:+.2f} [{-i.high:+.2f}, {-i.low:+.2f}] in {what}" for what, i in known)
    return f"`{study.baseline.method}` beside `{name}`, points of top-1: {gone}."


def does_flat_help(found: Sequence[Association], space: str, question: Question) -> str:
    """How many measures of a space go with better results, how many the other way, how many neither."""
    here = [a for a in found if a.space == space and a.question == question]
    known = [a for a in here if a.found]
    if not known:
        return f"{_where(space)}: too few methods to say."
    flatter = [a for a in known if a.verdict > 0]
    sharper = [a for a in known if a.verdict < 0]
    rest = len(known) - len(flatter) - len(sharper)
    strongest = max(known, key=lambda a: abs(a.found.rho) if a.found else 0)
    assert strongest.found
    most = f"{strongest.measure}, ρ = {strongest.found.rho:+.2f} ± {strongest.found.stderr:.2f}"
    if not flatter and not sharper:
        asked = [a for a in found if a.question == question and a.found]
        few = "" if can_decide(asked) else f", for which {strongest.found.rows} methods are too few"
        return f"{_where(space)}: undecided for all {len(known)} measures{few} (furthest from zero: {most})."
    says = [
        f"flatter goes with better for {_names(flatter)}" if flatter else "",
        f"flatter goes with worse for {_names(sharper)}" if sharper else "",
        f"{rest} undecided" if rest else "",
    ]
    return f"{_where(space)}: {', '.join(s for s in says if s)}; furthest from zero: {most}."


def can_decide(known: Sequence[Association]) -> bool:
    """Whether the smallest p that permutations can give would stand the correction over all of `known`."""
    return any(len(known) / math.factorial(a.found.rows) < LEVEL for a in known if a.found)


def half_widths(study: Study) -> tuple[float, float, float]:
    """Lowest, middle and highest half-width of the intervals of OOD, of the methods compared."""
    widths = [(c.interval.high - c.interval.low) / 2 for c in study.main if c.what == OOD and c.contrast]
    return (min(widths), median(widths), max(widths)) if widths else (0.0, 0.0, 0.0)


def detectable(study: Study) -> float:
    """Points of OOD that would have been sure after the correction: the median over methods."""
    tested = [c for c in study.main if c.p is not None]
    ood = [c.contrast.detectable(len(tested), LEVEL) for c in tested if c.what == OOD and c.contrast]
    return median(ood) if ood else 0.0


def _side(study: Study, what: str, words: str) -> str:
    sure = _sorted(c for c in study.main if c.what == what and c.is_sure())
    return f"{words}: {_values(sure)}." if sure else f"{words}: nothing decided."


def _sorted(found: Iterable[Comparison]) -> list[Comparison]:
    """From the highest difference to the lowest."""
    return sorted(found, key=lambda c: (-c.interval.value, c.method))


def _values(found: Sequence[Comparison]) -> str:
    return ", ".join(f"`{c.method}` {c.interval.value:+.2f}" for c in found)


def _listed(found: Sequence[Comparison]) -> str:
    return ", ".join(f"`{c.method}` {difference(c)}" for c in found) or "none"


def difference(c: Comparison) -> str:
    """`+0.42 [+0.20, +0.63]`."""
    return f"{c.interval.value:+.2f} [{c.interval.low:+.2f}, {c.interval.high:+.2f}]"


def _names(found: Sequence[Association]) -> str:
    return ", ".join(f"{a.measure} ({a.found.rho:+.2f})" for a in found if a.found)


def _where(space: str) -> str:
    text = SPACE.get(space, f"in the space `{space}`")
    return text[0].upper() + text[1:]
