"""About how long all that is left of a run takes; work is weighed in forward passes of one image."""

from collections.abc import Callable
from time import monotonic

from flatqat import registry
from flatqat.bench.cell.session import Lack, Session
from flatqat.bench.engine.estimate import images_of, passes_of
from flatqat.bench.flatness.estimators import DEFAULT, GRADIENT, work
from flatqat.bench.plan.request import lacking_spaces
from flatqat.console.progress import Progress, seconds


class Countdown:
    """Says how far a run is: the time that is left is in proportion to that of the work done so far.

    Whoever did that work; parts that are skipped count as done.
    """

    def __init__(self, progress: Progress, clock: Callable[[], float] = monotonic) -> None:
        self._progress, self._clock, self._began = progress, clock, clock()
        self._total = self._ahead = 0.0

    @property
    def ahead(self) -> float:
        """The work that is left; the most that ever was is all of it."""
        return self._ahead

    @ahead.setter
    def ahead(self, work: float) -> None:
        self._ahead, self._total = work, max(work, self._total)

    def say(self, what: str) -> None:
        """Say what begins, and the time that is left for all that is ahead, this included."""
        done = self._total - self._ahead
        left = (self._clock() - self._began) / done * self._ahead if done > 0 else 0.0
        self._progress.say(f"{what}, about {seconds(left)} left in all" if left else what)


def training_work(lack: Lack, session: Session) -> float:
    """Return the work of training a job, none if its weights are stored."""
    if not session.request.rerun and session.store.has_weights(lack.job.cell):
        return 0.0
    recipe, method = lack.job.recipe, registry.load(registry.METHODS, lack.job.cell.method)
    passes = int(method.passes_with(lack.job.config))
    return float(method.steps(recipe) * passes * GRADIENT * recipe.batch_size)


def flatness_work(lack: Lack, session: Session) -> float:
    """Return the work of measuring the flatness that a job lacks, and that no interrupted run has stored."""
    recipe, request, spaces = lack.job.recipe, session.request, list(lack.spaces)
    if spaces and not request.rerun:
        spaces = lacking_spaces(lack.job.cell, session.store.flatness(lack.job.cell), request)
    return float(len(spaces) * work(DEFAULT, recipe.flatness_draws) * recipe.flatness_images)


def scoring_work(lack: Lack, session: Session) -> float:
    """Return the work of scoring a job on the shifts that it lacks; the data must be there."""
    job, request = lack.job, session.request
    if not lack.scores:
        return 0.0
    lacking = [
        shift
        for shift in job.suite.scored
        if request.rerun or not session.store.has_scores(job.cell, shift.name)
    ]
    return float(sum(images_of(shift, request) for shift in lacking) * passes_of(job))
