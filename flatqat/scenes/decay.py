"""exp(-x) from sums and products alone, whose rounding IEEE 754 fixes: every machine renders the same pixels.

The last digit of NumPy's exp depends on the processor.
"""

import numpy as np
from numpy.typing import NDArray

MOST = 50.0  # exp(-50) is far below the darkest level of an image
HALVINGS, DEGREE = 8, 10


def decay(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return exp(-x) for x >= 0 of any shape, to 1e-12 of its value; x above 50 counts as 50.

    It is (sum_k (-y)^k / k!)^(2^8) with y = x / 2^8, where the sum uses Horner's rule.
    """
    y = np.minimum(x, MOST) / 2**HALVINGS
    total: NDArray[np.float64] = np.ones_like(y)
    for k in range(DEGREE, 0, -1):
        total = 1 - y / k * total
    for _ in range(HALVINGS):
        total = total * total
    return total
