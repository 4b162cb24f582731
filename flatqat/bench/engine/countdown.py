"""Which cell a run is at, and about how long all that is left takes."""

from collections.abc import Callable, Sequence
from time import monotonic

from flatqat import registry
from flatqat.bench.cell.session import Lack, Session
from flatqat.bench.engine.estimate import images_scored
from flatqat.bench.flatness.estimators import DEFAULT, GRADIENT, work
from flatqat.console.progress import seconds


class Countdown:
    """Counts the jobs of a run and weighs them in forward passes of one image.

    The time that is left is the time that the work done so far took, in proportion; parts that are skipped
    count as done.
    """

    def __init__(
        self, todo: Sequence[Lack], session: Session, clock: Callable[[], float] = monotonic
    ) -> None:
        self._session, self._clock, self._began = session, clock, clock()
        self._training = {lack.job.cell.id: _training(lack, session) for lack in todo}
        self._scoring: dict[str, int] = {}
        for lack in (lack for lack in todo if lack.scores):
            key, images = lack.job.suite.key, images_scored(lack.job, session.request)
            self._scoring[key] = self._scoring.get(key, 0) + images
        self._total = sum(self._training.values()) + sum(self._scoring.values())

    def at_job(self, lack: Lack) -> None:
        """Say that a job begins, if it is one of several, and count those before it as done."""
        ids = list(self._training)
        at = ids.index(lack.job.cell.id)
        if len(ids) > 1:
            ahead = sum(list(self._training.values())[at:]) + sum(self._scoring.values())
            self._say(f"cell {at + 1} of {len(ids)}: {lack.job.title}", ahead)

    def at_suite(self, key: str, cells: int) -> None:
        """Say that the cells of a suite are scored, if there are several, and count those before as done."""
        keys = list(self._scoring)
        if key in keys and cells > 1:
            ahead = sum(list(self._scoring.values())[keys.index(key) :])
            self._say(f"score {cells} cells of {key}", ahead)

    def _say(self, what: str, ahead: float) -> None:
        done = self._total - ahead
        left = (self._clock() - self._began) / done * ahead if done > 0 else 0.0
        self._session.progress.say(f"{what}, about {seconds(left)} left in all" if left else what)


def _training(lack: Lack, session: Session) -> int:
    """Return the work of training a job, where its weights are not stored, and of measuring its flatness."""
    recipe, stored = lack.job.recipe, session.store.has_weights(lack.job.cell)
    method = registry.load(registry.METHODS, lack.job.cell.method)
    steps = 0 if stored else method.steps(recipe) * int(method.passes)
    flatness = len(lack.spaces) * work(DEFAULT, recipe.flatness_draws) * recipe.flatness_images
    return steps * GRADIENT * recipe.batch_size + flatness
