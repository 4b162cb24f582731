"""The tables of a study's page, each as lines of Markdown with its caption."""

from collections.abc import Sequence

from flatqat.bench.study.compare import GAP, ID, OOD, Comparison, MethodRuns
from flatqat.bench.study.correlations import (
    BESIDE,
    MEASURES,
    QUESTIONS,
    Association,
    mean_of,
    spaces,
)
from flatqat.bench.study.sentences import difference
from flatqat.bench.study.study import Study
from flatqat.console.rounded import p_value, rounded
from flatqat.spec import Space

CAPTION = (
    "Δ: points of top-1 above `{baseline}` with its 95% interval over seeds and images. Bold: p below 0.05 "
    "after Holm's correction over the {count} comparisons of this table. The scatter over seeds is that of "
    "all methods together where nothing speaks against it. The reference is shown by its own scatter, not "
    "tested."
)
ONE_SEED_CAPTION = (
    "Δ: points of top-1 above `{baseline}` with its 95% interval over images, **for these runs alone**: with "
    "one seed nothing is tested, and nothing is called better or worse."
)
RHO_CAPTION = (
    "Spearman's ρ ± its standard error, with ranks among the runs of one seed. Of all measures more is "
    "sharper: flatter is better where ρ with OOD is negative and ρ with the gap positive. Bold: p below "
    "0.05, from permutations of whole methods, with Holm's correction over the {count} measures of a column. "
    "The standard error is a jackknife over methods and one over seeds, variances added: runs of one method "
    "or of one seed are not independent, so the sample is as large as the number of methods. *at equal ID*: "
    "partial, with the ranks of ID top-1 regressed out of both. ID has an error, which would leave a "
    "correlation of its own; so each half of the images is the other's instrument, and p is from a jackknife "
    "over methods. withheld: the halves of ID correlate by less than 0.5."
)
FLATNESS_CAPTION = (
    r"Means over seeds. λmax: top Hessian eigenvalue (\*: one or more did not converge). sharp: mean rise "
    "of the loss when every filter moves by so much of its norm. SAM, ASAM: rise along one step of each. "
    "loss: on the images flatness is measured on. norm: of all weights, since λmax depends on their "
    "scale. [Measures](https://flatqat.github.io/flatqat/measures/) defines them."
)


def main_table(study: Study) -> list[str]:
    """Return ID, OOD and gap of every method, and their differences from the baseline."""
    head = ["method", "seeds", "ID", "Δ ID", "OOD", "sd", "Δ OOD", "p", "gap", "Δ gap", "p"]
    rows = []
    for runs in study.shown:
        ood, gap = study.find(runs.method, OOD), study.find(runs.method, GAP)
        level = {what: f"{runs.mean(study.quantities[what]):.2f}" for what in (ID, OOD, GAP)}
        row = [f"`{runs.method}`", str(len(runs.records)), level[ID], _marked(study.find(runs.method, ID))]
        sd = runs.seed_sd(study.quantities[OOD])
        rows.append(
            [
                *row,
                level[OOD],
                "-" if sd is None else f"{sd:.2f}",
                _marked(ood),
                _p(ood),
                level[GAP],
                _marked(gap),
                _p(gap),
            ]
        )
    count = sum(c.p is not None for c in study.main)
    several = len(study.baseline.records) > 1
    caption = _caption(study, count) + " sd: standard deviation of OOD over seeds." * several
    return [*_table(head, rows), "", caption]


def family_table(study: Study) -> list[str]:
    """Return the difference of every method from the baseline on the mean of each family."""
    names = study.family_names
    rows = [
        [f"`{runs.method}`", *(_marked(study.find(runs.method, name)) for name in names)]
        for runs in study.shown
        if runs is not study.baseline
    ]
    count = sum(c.p is not None for c in study.families)
    caption = f"Mean top-1 over the shifts of a family. {_caption(study, count)}"
    return [*_table(["method", *names], rows), "", caption]


def rho_table(study: Study, answers: Sequence[Association]) -> list[str]:
    """Return the correlation of every measure in every space, a column for each question."""
    rows = []
    for space in spaces(study):
        for measure in MEASURES:
            of_measure = [a for a in answers if (a.space, a.measure) == (space, measure)]
            correlations = [a.correlation for a in of_measure if a.correlation]
            sizes = {f"{correlation.rows} × {correlation.columns}" for correlation in correlations}
            rows.append([space, measure, *map(_rho, of_measure), ", ".join(sorted(sizes)) or "-"])
    head = ["space", "measure", *(question.title for question in QUESTIONS), "methods × seeds"]
    count = max((sum(a.p is not None for a in answers if a.question == q) for q in QUESTIONS), default=0)
    return [*_table(head, rows), "", RHO_CAPTION.format(count=count)]


def flatness_table(study: Study) -> list[str]:
    """Return every measure of every method in every space, means over seeds."""
    columns = {**MEASURES, **BESIDE}
    rows = []
    for space in spaces(study):
        for runs in study.shown:
            values = (mean_of(runs, space, measure) for measure in columns.values())
            texts = ["-" if value is None else f"{value:.3g}" for value in values]
            texts[0] += r"\*" if _unconverged(runs, space) else ""
            rows.append([space, f"`{runs.method}`", *texts])
    return [*_table(["space", "method", *columns], rows), "", FLATNESS_CAPTION]


def _marked(c: Comparison | None) -> str:
    if c is None:
        return "-"
    return f"**{difference(c)}**" if c.is_sure() else difference(c)


def _p(c: Comparison | None) -> str:
    if c is None or c.p is None:
        return "-"
    return p_value(c.p)


def _rho(a: Association) -> str:
    if a.correlation is None:
        return "-"
    if a.p is None:
        return "withheld"
    text = f"{rounded(a.correlation.rho, '+.2f')} ± {a.correlation.stderr:.2f}"
    return f"**{text}**" if a.verdict else text


def _unconverged(runs: MethodRuns, space: Space) -> bool:
    measured = [record.flatness.space(space) for record in runs.records.values()]
    eigenvalues = [flatness.lambda_max for flatness in measured if flatness and flatness.lambda_max]
    return any(e.value is not None and not e.converged for e in eigenvalues)


def _caption(study: Study, count: int) -> str:
    name = study.baseline.method
    if len(study.baseline.records) == 1:
        return ONE_SEED_CAPTION.format(baseline=name)
    seeds = study.baseline.records.keys()
    others = [f"`{runs.method}`" for runs in study.shown if runs.records.keys() != seeds]
    shared = f" Levels are over all seeds of a row, Δ of {', '.join(others)} over those shared with `{name}`."
    return CAPTION.format(baseline=name, count=count) + shared * bool(others)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table of Markdown as lines, its columns padded to one width."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = [" | ".join(f"{c:<{w}}" for c, w in zip(row, widths, strict=True)) for row in (head, *rows)]
    rule = "|".join(":" + "-" * (w + 1) for w in widths)
    return [f"| {lines[0]} |", f"|{rule}|", *(f"| {line} |" for line in lines[1:])]
