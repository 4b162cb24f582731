"""An estimate of how long the rest of a run takes."""

from collections.abc import Callable
from time import monotonic

from flatqat.console.progress import Progress, seconds


class Countdown:
    """Announces pieces of work with the time left, which is extrapolated from the work done so far.

    Work of other processes counts as done, and so do parts that are skipped.
    """

    def __init__(self, progress: Progress, clock: Callable[[], float] = monotonic) -> None:
        self._progress, self._clock, self._began = progress, clock, clock()
        self._total = self._ahead = 0.0

    @property
    def ahead(self) -> float:
        """The remaining work; the largest value so far counts as the total."""
        return self._ahead

    @ahead.setter
    def ahead(self, work: float) -> None:
        self._ahead, self._total = work, max(work, self._total)

    def say(self, what: str) -> None:
        """Say what begins, and about how long the remaining work takes, this included."""
        done = self._total - self._ahead
        left = (self._clock() - self._began) / done * self._ahead if done > 0 else 0.0
        self._progress.say(f"{what}, about {seconds(left)} left in all" if left else what)
