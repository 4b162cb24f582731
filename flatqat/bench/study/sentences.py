"""The sentences of a study's page, chosen by its numbers; a negative or undecided answer is said plainly."""

import math
from collections.abc import Iterable, Sequence
from statistics import median

from flatqat.bench.records.sections import bits_in_words
from flatqat.bench.study.compare import GAP, ID, LEVEL, MAIN, OOD, Comparison
from flatqat.bench.study.correlations import Association, Question
from flatqat.bench.study.study import Study
from flatqat.console.rounded import interval, rounded, with_interval
from flatqat.errors import counted

SPACE = {
    "quantized": "at the deployed weights (space `quantized`)",
    "latent": "at the latent weights (space `latent`)",
}


def who_wins(study: Study) -> str:
    """Say which methods beat the baseline in OOD, which lose, and how small a difference is detectable."""
    name = f"`{study.baseline.method}`"
    if len(study.baseline.records) == 1:
        return f"With one seed, nothing is called better or worse than {name}: it is one run of each method."
    tested = _sorted(c for c in study.main if c.what == OOD and c.p is not None)
    if not tested:
        return f"No method has all seeds of {name}: nothing can be said."
    better = [c for c in tested if c.is_sure() and c.estimate.value > 0]
    worse = [c for c in tested if c.is_sure() and c.estimate.value < 0]
    undecided = [c for c in tested if not c.is_sure()]
    level = f"{study.baseline.mean(study.quantities[OOD]):.1f}%"
    sentence = (
        f"Of {counted(len(tested), 'method')} compared with {name} (OOD top-1 {level}), better under shift: "
        f"{_listed(better)}; worse: {_listed(worse)}; undecided: {len(undecided)}"
    )
    if undecided:
        ends = interval(undecided[-1].estimate.value, undecided[0].estimate.value, "+.2f")
        ends = f"from {ends}" if len(undecided) > 1 else rounded(undecided[0].estimate.value, "+.2f")
        found = f"a true difference of {detectable(study)} would be found in 80% of such studies"
        sentence += f" ({ends} points; {found})"
    return f"{sentence}."


def bits_in_markdown(study: Study) -> str:
    """Return the bits of a study in words, for Markdown."""
    return bits_in_words(study.bits).replace("*", r"\*")


def id_and_gap(study: Study) -> str:
    """Say which methods differ from the baseline in ID accuracy and in the gap."""
    return " ".join(
        _side(study, what, words) for what, words in ((ID, "ID top-1"), (GAP, "The gap (less is better)"))
    )


def by_family(study: Study) -> str:
    """Say which methods differ from the baseline, family by family."""
    parts = []
    for family in study.family_names:
        sure = _sorted(c for c in study.families if c.what == family and c.is_sure())
        parts.append(f"{family}: {_values(sure)}" if sure else f"{family}: nothing decided")
    return "; ".join(parts) + "."


def cost(study: Study) -> str:
    """Say what the baseline loses to full precision; empty if that is not stored."""
    if study.reference is None:
        return ""
    name = study.reference.method
    intervals = [(what, c.estimate) for what in MAIN if (c := study.find(name, what))]
    if not intervals:
        return ""
    losses = ", ".join(
        f"{with_interval(-i.value, -i.high, -i.low, '+.2f')} in {what}" for what, i in intervals
    )
    return f"`{study.baseline.method}` minus `{name}`, in points of top-1: {losses}."


def does_flat_help(answers: Sequence[Association], space: str, question: Question) -> str:
    """Say for how many measures of a space flatter is better, for how many worse, for how many neither."""
    of_question = [a for a in answers if a.question == question and a.correlation]
    of_space = [a for a in of_question if a.space == space]
    if not of_space:
        return f"{_where(space)}: too few methods to say."
    if all(a.p is None for a in of_space):
        reliability = max(a.correlation.reliability for a in of_space if a.correlation)
        return (
            f"{_where(space)}: withheld, since the methods differ too little in {question.given} for it to "
            f"be held equal (its two halves correlate by {reliability:.2f})."
        )
    flatter = [a for a in of_space if a.verdict > 0]
    sharper = [a for a in of_space if a.verdict < 0]
    rest = len(of_space) - len(flatter) - len(sharper)
    strongest = max(of_space, key=lambda a: abs(a.correlation.rho) if a.correlation else 0)
    assert strongest.correlation
    rho = strongest.correlation
    most = f"{strongest.measure}, ρ = {rounded(rho.rho, '+.2f')} ± {rho.stderr:.2f}"
    if not flatter and not sharper:
        few = "" if can_decide(of_question) else f", for which {rho.rows} methods are too few"
        return (
            f"{_where(space)}: undecided for all {len(of_space)} measures{few} (furthest from zero: {most})."
        )
    parts = [
        f"flatter is better for {_names(flatter)}" if flatter else "",
        f"flatter is worse for {_names(sharper)}" if sharper else "",
        f"{rest} undecided" if rest else "",
    ]
    return f"{_where(space)}: {', '.join(part for part in parts if part)}; furthest from zero: {most}."


def can_decide(answers: Sequence[Association]) -> bool:
    """Whether the smallest p that permutations can give would be significant after the correction."""
    known = [a for a in answers if a.correlation]
    return any(
        a.question.given or len(known) / math.factorial(a.correlation.rows) < LEVEL
        for a in known
        if a.correlation
    )


def half_widths(study: Study) -> tuple[float, float, float]:
    """Return the lowest, median and highest half-width of the intervals of OOD, over the methods."""
    methods = {runs.method for runs in study.methods}
    widths = [c.estimate.half_width() for c in study.main if c.what == OOD and c.method in methods]
    return (min(widths), median(widths), max(widths)) if widths else (0.0, 0.0, 0.0)


def detectable(study: Study) -> str:
    """Return the true differences in OOD, in points, that are significant with a probability of 80%.

    They depend on the method, and are those with Bonferroni's correction over all comparisons of the table.
    """
    tested = [c for c in study.main if c.p is not None]
    ood = [c.estimate.detectable(LEVEL / len(tested)) for c in tested if c.what == OOD]
    least, middle, most = (f"{of(ood):.2f}" for of in (min, median, max))
    if least == most:
        return f"{least} points"
    return f"{least} to {most} points, by method (median {middle}),"


def _side(study: Study, what: str, words: str) -> str:
    sure = _sorted(c for c in study.main if c.what == what and c.is_sure())
    return f"{words}: {_values(sure)}." if sure else f"{words}: nothing decided."


def _sorted(compared: Iterable[Comparison]) -> list[Comparison]:
    """Return the comparisons from the highest difference to the lowest."""
    return sorted(compared, key=lambda c: (-c.estimate.value, c.method))


def _values(compared: Sequence[Comparison]) -> str:
    return ", ".join(f"`{c.method}` {rounded(c.estimate.value, '+.2f')}" for c in compared)


def _listed(compared: Sequence[Comparison]) -> str:
    return ", ".join(f"`{c.method}` {difference(c)}" for c in compared) or "none"


def difference(c: Comparison) -> str:
    """Return a difference with its interval: `+0.42 [+0.20, +0.63]`."""
    return with_interval(c.estimate.value, c.estimate.low, c.estimate.high, "+.2f")


def _names(answers: Sequence[Association]) -> str:
    return ", ".join(f"{a.measure} ({rounded(a.correlation.rho, '+.2f')})" for a in answers if a.correlation)


def _where(space: str) -> str:
    text = SPACE.get(space, f"in the space `{space}`")
    return text[0].upper() + text[1:]
