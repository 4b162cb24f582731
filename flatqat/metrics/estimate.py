"""An estimate with the error that seeds and images leave in it: its 95% interval, p-value and power."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
SHARPNESS = 1.75  # of the transition from images to seeds; see `Estimate`
MOST_DRAWS, DRAWS_TIMES_FREEDOM = 64, 640  # of the variances that studies find; power to 0.2%


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean over training seeds and images, in the unit of its contributions, and what it may be wrong by.

    With X = `seed_variance`, of `seed_freedom` degrees of freedom, and Y = `image_variance`, of
    `image_freedom`, the variance of the mean is X + Y, and an interval of level q reaches to both sides by

        sqrt(X + Y) c,    c^2 = t_Y^2 + (t_X^2 - t_Y^2) w^1.75,    w = X / (X + Y),

    where t_X and t_Y are the two-sided quantiles of Student's t. With the exponent 2 and many images,
    f_Y -> inf, that is Satterthwaite's solution, nu = (X + Y)^2 / (X^2 / f_X + Y^2 / f_Y), with t^2 linear
    in 1 / nu; with few images it is wider. Since X is itself estimated, and with it w, that covers too little
    between the extremes: 93% with 2 degrees of freedom and 87% with one. The exponent 1.75 covers 94.4% to
    96.4%, and 93.2% to 97.1%, whatever w is.

    With one seed X is 0, and the estimate speaks of these training runs alone.

    Source: Satterthwaite 1946, Biometrics Bulletin 2(6); the problem is that of Behrens and Fisher.
    """

    value: float
    seed_variance: float
    image_variance: float
    seed_freedom: float
    image_freedom: float
    seeds: int
    images: int

    @property
    def stderr(self) -> float:
        """The standard error over seeds and images together."""
        return math.sqrt(self.seed_variance + self.image_variance)

    @property
    def low(self) -> float:
        """The lower end of the 95% interval."""
        return self.value - self.half_width()

    @property
    def high(self) -> float:
        """The upper end of the 95% interval."""
        return self.value + self.half_width()

    @property
    def p(self) -> float:
        """The two-sided p-value of zero: the level at which the interval would just end there.

        Without any variance it is that of a test of signs, which are the same for all images.
        """
        if not self.stderr:
            return 2.0 ** (1 - self.images) if self.value else 1.0
        distance, low, high = abs(self.value) / self.stderr, -690.0, 0.0  # e^-690 is near the smallest double
        for _ in range(50):
            middle = (low + high) / 2
            low, high = (low, middle) if self._quantile(math.exp(middle)) < distance else (middle, high)
        return math.exp(high)

    def of_share(self, whole: float = 100.0) -> tuple[float, float]:
        """Return the 95% interval of a mean that lies between 0 and `whole`, such as an accuracy in percent.

        It is Wilson's score interval of the share p = value / `whole` for the n images that would give its
        variance, n = p (1 - p) / variance, and for all images where p is 0 or 1. So it stays within its
        bounds, and covers where few images are wrong and a symmetric one would be too narrow.

        Source: Wilson 1927, JASA 22, 209-212.
        """
        p, variance, c = self.value / whole, (self.stderr / whole) ** 2, self._quantile(1 - LEVEL)
        n = p * (1 - p) / variance if variance else float(self.images)
        middle, scale = p + c * c / (2 * n), 1 + c * c / n
        reach = c * math.sqrt(p * (1 - p) / n + (c / (2 * n)) ** 2)
        return whole * (middle - reach) / scale, whole * (middle + reach) / scale

    def half_width(self, level: float = LEVEL) -> float:
        """Return how far the interval of a level reaches to each side."""
        return self.stderr * self._quantile(1 - level) if self.stderr else 0.0

    def detectable(self, p: float, power: float = 0.8, least: float = 0.0) -> float:
        """Return the true difference that a study finds with a probability of `power`.

        To find it is to see a difference that is larger than `least` and has a two-sided p-value below `p`.
        What is seen is normal with the variance X + Y, and so is more often above the end of the interval
        where a study underestimates X and Y. They are drawn as X chi^2 / f_X and Y chi^2 / f_Y, at quantiles
        in the middle of equal shares. With one source alone that is the noncentral t.
        """
        from scipy.special import ndtr

        if not self.stderr:
            return least
        if p <= 0:
            return math.inf
        x = self.seed_variance * _drawn(self.seed_freedom) if self.seed_variance else np.zeros(1)
        y = self.image_variance * _drawn(self.image_freedom)[:, None]
        variance = x + y
        ends = np.maximum(least, np.sqrt(variance) * self._quantile(p, x / variance))
        low, high = 0.0, float(ends.max()) + 10 * self.stderr
        for _ in range(24):  # to a few parts in a million
            middle = (low + high) / 2
            found = ndtr((middle - ends) / self.stderr).mean()
            low, high = (low, middle) if found > power else (middle, high)
        return high

    def _quantile(self, p: float, share: Any = None) -> Any:
        """Return c for the two-sided tail `p` and the share of seeds in the variance, or for many shares."""
        if p <= 0:
            return math.inf
        if share is None:
            variance = self.seed_variance + self.image_variance
            share = self.seed_variance / variance if variance else 0.0
        of_seeds = _student(self.seed_freedom, p / 2) if self.seed_variance else 0.0
        of_images = _student(self.image_freedom, p / 2)
        return np.sqrt(of_images + (of_seeds - of_images) * share**SHARPNESS)


@lru_cache
def _drawn(freedom: float) -> NDArray[np.float64]:
    """Return quantiles of chi^2 / f, fewer where they differ less: how far off an estimated variance is."""
    from scipy.special import gammaincinv

    draws = min(MOST_DRAWS, max(1, round(DRAWS_TIMES_FREEDOM / freedom)))
    middles = (np.arange(draws) + 0.5) / draws
    return np.asarray(2 * gammaincinv(freedom / 2, middles) / freedom)


@lru_cache(maxsize=2**14)
def _student(freedom: float, tail: float) -> float:
    """Return the squared quantile of Student's t; rows of one table ask for the same ones."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, tail)) ** 2
