"""How a setting moves over the training."""

from math import cos, pi


def half_cosine(share: float, first: float = 1.0, last: float = 0.0) -> float:
    """From `first` at a share of 0 to `last` at 1, level at both ends (Loshchilov & Hutter 2017, eq. 5).

    last + ½ (first − last) (1 + cos(π · share))
    """
    return 0.5 * ((first + last) + (first - last) * cos(pi * share))
