"""Random numbers from raw words of PCG64, whose stream NumPy never changes, unlike `Generator`'s."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")


class Dice:
    """Random numbers that only depend on the integers of `key` and on the order of calls."""

    def __init__(self, *key: int) -> None:
        self._bits = np.random.PCG64(list(key))

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """Return a number that is uniform on [low, high)."""
        return low + (high - low) * ((int(self._bits.random_raw()) >> 11) * 2.0**-53)

    def integer(self, low: int, high: int) -> int:
        """Return one of low .. high, both included."""
        return low + int(self._bits.random_raw()) % (high - low + 1)

    def chance(self, share: float) -> bool:
        """Return True with probability `share`."""
        return self.uniform() < share

    def pick(self, choices: Sequence[T]) -> T:
        """Return one of the choices."""
        return choices[self.integer(0, len(choices) - 1)]

    def normals(self, *shape: int) -> NDArray[np.float64]:
        """Return nearly normal numbers of mean 0 and variance 1: sums of four uniform ones, up to 3.46."""
        size = int(np.prod(shape))
        shorts = self._bits.random_raw(size).astype("<u8").view("<u2").reshape(*shape, 4)
        total = shorts.sum(axis=-1, dtype=np.int64)
        normal: NDArray[np.float64] = (total - 2.0 * 65535) * (3.0**0.5 / 65536)
        return normal
