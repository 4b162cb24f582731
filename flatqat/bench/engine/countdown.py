"""About how long all that is left of a run takes."""

from collections.abc import Callable
from time import monotonic

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
