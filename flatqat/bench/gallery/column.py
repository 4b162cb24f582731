"""One picture of the gallery with its title."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""An RGB picture (H, W, 3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One picture of a row.

    Attributes:
        title: What it shows.
        picture: The picture.
        accuracy: The share of labeled pixels that a prediction gets right, in percent.
    """

    title: str
    picture: Pixels
    accuracy: float | None = None
