"""The schedule of learning rates and settings over the training."""

from math import cos, pi


def half_cosine(progress: float, first: float = 1.0, last: float = 0.0) -> float:
    """Return a value between `first`, at a progress of 0, and `last`, at 1; the slope is 0 at both ends.

    last + ½ (first − last) (1 + cos(π · progress)); Loshchilov & Hutter 2017, eq. 5.
    """
    return 0.5 * ((first + last) + (first - last) * cos(pi * progress))
