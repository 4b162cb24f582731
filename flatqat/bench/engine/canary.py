"""Published figures, reproduced on the user's data: a wrong crop, mask or class order shows here.

`published.csv` holds figures of models with public weights. Each is checked that the user's data and weights
allow; it passes within the sampling interval of as many images, 1.96 standard errors to each side.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from flatqat.bench.cell.failures import explained
from flatqat.bench.cell.session import Session
from flatqat.bench.engine.together import Together
from flatqat.bench.engine.train import train
from flatqat.bench.engine.troubles import Troubles
from flatqat.bench.plan.jobs import Job, make_plan
from flatqat.bench.plan.networks import EVAL
from flatqat.console.progress import Progress
from flatqat.errors import FlatqatError, UsageError, WeightsError, choose
from flatqat.metrics.mce import ALEXNET, mce, mce_stderr
from flatqat.metrics.outcomes import is_right

Z = 1.96
Verdict = Literal["ok", "OFF", "not checked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A published number.

    `shift` is one of the suite's, or the first part of several shifts' names, whose mean the number is;
    `metric` is top1 in percent, or mce.
    """

    model: str
    title: str
    suite: str
    shift: str
    metric: str
    value: float
    images: int
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A published figure, the value measured here on `n` images, and how far the two may be apart."""

    figure: Figure
    verdict: Verdict
    ours: float | None = None
    n: int = 0
    tolerance: float | None = None
    reason: str = ""


def figures(models: Sequence[str] = ()) -> list[Figure]:
    """Return the published figures, or those of some models; raises UsageError if a model has none."""
    with Path(__file__).with_name("published.csv").open(encoding="utf-8", newline="") as file:
        rows = [
            Figure(**{**row, "value": float(row["value"]), "images": int(row["images"])})  # type: ignore[arg-type]
            for row in csv.DictReader(file)
        ]
    known = {figure.model for figure in rows}
    for model in models:
        choose("model with published figures", model, known)
    return [figure for figure in rows if not models or figure.model in models]


def canary(wanted: Sequence[Figure], session: Session) -> list[Check]:
    """Check every figure that can be checked; the session's request names weights, data and results.

    Raises UsageError if it names no weights, and WeightsError if a file that it names does not fit.
    """
    request = session.request
    if not (request.weights or request.pretrained):
        raise UsageError("no weights were given; pass --weights FILE or --pretrained")
    checks: list[Check] = []
    for model, suite in dict.fromkeys((figure.model, figure.suite) for figure in wanted):
        these = [figure for figure in wanted if (figure.model, figure.suite) == (model, suite)]
        try:
            job = _ready(suite, model, session)
        except Exception as error:  # a bug of one model costs its own figures alone
            if request.weights and isinstance(error, WeightsError):
                raise
            reason = _reason(error, model, session)
            checks += [Check(figure=f, verdict="not checked", reason=reason) for f in these]
        else:
            session.store.drop_work(job.cell)  # of a killed call, before the data was fixed
            checks += [_check(figure, job, session) for figure in these]
            session.store.drop_work(job.cell)
    return checks


def _reason(error: Exception, title: str, session: Session) -> str:
    """Return why a figure cannot be checked; a bug is shown with its traceback."""
    return str(error) if isinstance(error, FlatqatError) else explained(error, title, session.progress)


def _ready(suite: str, model: str, session: Session) -> Job:
    """Return the one job of a model with its weights as they are, stored like those of a cell."""
    (job,) = make_plan(
        replace(session.request, suites=(suite,), models=(model,), recipe=EVAL, spaces=())
    ).jobs
    train(job, replace(session, progress=Progress()))
    return job


def _check(figure: Figure, job: Job, session: Session) -> Check:
    names = {figure.shift, *(ALEXNET if figure.metric == "mce" else ())}
    shifts = [shift for shift in job.suite.shifts if names & {shift.name, shift.name.partition("/")[0]}]
    right: dict[str, NDArray[np.bool_]] = {}
    title, troubles = f"{figure.model} on {figure.title}", Troubles(session.progress)
    together = Together([job], session, troubles)
    try:
        together.restore()
        with session.progress.task(title, len(shifts)) as advance:
            together.score(shifts, advance)
        if trouble := troubles.get(job):
            return Check(figure=figure, verdict="not checked", reason=trouble.reason)
        for shift in shifts:
            right[shift.name] = is_right(session.store.read_scores(job.cell, shift.name)[1]["margin"])
    except Exception as error:
        return Check(figure=figure, verdict="not checked", reason=_reason(error, title, session))
    ours, tolerance = _mce(right) if figure.metric == "mce" else _top1(right, figure)
    verdict: Verdict = "ok" if abs(ours - figure.value) <= tolerance else "OFF"
    n = min(map(len, right.values()))
    return Check(figure=figure, verdict=verdict, ours=ours, n=n, tolerance=tolerance)


def _top1(right: Mapping[str, NDArray[np.bool_]], figure: Figure) -> tuple[float, float]:
    """Return percent and 1.96 binomial standard errors at the published value; severities share images."""
    p, n = figure.value / 100, min(figure.images, *(len(images) for images in right.values()))
    return 100 * float(np.mean([r.mean() for r in right.values()])), 100 * Z * sqrt(p * (1 - p) / n)


def _mce(right: Mapping[str, NDArray[np.bool_]]) -> tuple[float, float]:
    """Return percent and 1.96 standard errors over images."""
    wrong: dict[str, list[float]] = {}
    for name, images in right.items():
        wrong.setdefault(name.partition("/")[0], []).append(100 * (1 - float(images.mean())))
    return mce({name: float(np.mean(errors)) for name, errors in wrong.items()}), Z * mce_stderr(right)
