"""Clear skies from the horizon to the zenith, with clouds or overcast."""

import numpy as np
from numpy.typing import NDArray

from flatqat.scenes.dice import Dice
from flatqat.scenes.size import HEIGHT, WIDTH
from flatqat.scenes.smooth import blotches

PALETTES = (
    ((0.86, 0.9, 0.95), (0.5, 0.68, 0.92)),
    ((0.92, 0.93, 0.94), (0.66, 0.78, 0.93)),
    ((0.9, 0.9, 0.91), (0.82, 0.84, 0.87)),
    ((0.95, 0.92, 0.86), (0.62, 0.75, 0.9)),
)
"""Colors at the horizon and at the zenith."""


def gradient(horizon: float, dice: Dice) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sky (HEIGHT, WIDTH, 3), and its color at the horizon, which distant things fade to."""
    low, high = (np.array(color) for color in dice.pick(PALETTES))
    rise = np.clip((horizon - np.arange(HEIGHT)[:, None] - 0.5) / horizon, 0, 1)
    cover = dice.uniform(-1.5, 1.0)
    field = blotches(dice, HEIGHT, WIDTH, 24) + 0.5 * blotches(dice, HEIGHT, WIDTH, 8)
    clouds = np.clip((field + cover) * 0.6, 0, 1)
    sky = low + (high - low) * rise[..., None]
    sky = sky + (0.95 - sky) * (clouds * (0.3 + 0.7 * rise))[..., None] * 0.8
    return sky, low
