"""About how long all that is left of a run takes; work is weighed in forward passes of one image."""

from collections.abc import Callable
from time import monotonic

from flatqat import registry
from flatqat.bench.cell.session import Lack
from flatqat.bench.engine.estimate import images_scored, passes_of
from flatqat.bench.flatness.estimators import DEFAULT, GRADIENT, work
from flatqat.bench.plan.request import Request
from flatqat.bench.records.store import Store
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


def training_work(lack: Lack, store: Store) -> float:
    """Return the work of training a job whose weights are not stored."""
    if store.has_weights(lack.job.cell):
        return 0.0
    recipe, method = lack.job.recipe, registry.load(registry.METHODS, lack.job.cell.method)
    passes = int(method.passes_with(lack.job.config))
    return float(method.steps(recipe) * passes * GRADIENT * recipe.batch_size)


def flatness_work(lack: Lack) -> float:
    """Return the work of measuring the flatness that a job lacks."""
    recipe = lack.job.recipe
    return float(len(lack.spaces) * work(DEFAULT, recipe.flatness_draws) * recipe.flatness_images)


def scoring_work(lack: Lack, request: Request) -> float:
    """Return the work of scoring a job, if it lacks scores; the data must be there."""
    return float(images_scored(lack.job, request) * passes_of(lack.job)) if lack.scores else 0.0
