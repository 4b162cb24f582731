"""Rain: gray light, a wet road that mirrors what is behind it, streaks, and drops on the lens."""

import numpy as np

from flatqat.scenes.classes import ROAD, SIDEWALK
from flatqat.scenes.dice import Dice
from flatqat.scenes.fog import veiled
from flatqat.scenes.scene import VERSION, Scene
from flatqat.scenes.size import HEIGHT, WIDTH
from flatqat.scenes.smooth import Map, blotches, blurred

RAIN = 3


def rain(scene: Scene) -> Map:
    """Return the scene in rain."""
    dice = Dice(VERSION, scene.number, RAIN)
    red, green, blue = np.moveaxis(scene.colors, -1, 0)
    gray = (0.299 * red + 0.587 * green + 0.114 * blue)[..., None]
    dull = (scene.colors + 0.3 * (gray - scene.colors)) * dice.uniform(0.65, 0.85)
    colors = _wet(scene, dull, dice)
    tone = dice.uniform(0.55, 0.72) * np.array([0.98, 1.0, 1.03])
    colors = veiled(colors, scene.depth, 3 / dice.uniform(120, 300), tone)
    return _drops(_streaks(colors, dice), dice)


def _wet(scene: Scene, colors: Map, dice: Dice) -> Map:
    """Darken the ground; it mirrors what is beyond it at the horizon, most of all in puddles."""
    ground = (scene.labels == ROAD) | (scene.labels == SIDEWALK)
    mirror = np.clip(np.floor(2 * scene.horizon - np.arange(HEIGHT)).astype(int), 0, HEIGHT - 1)
    mirrored = blurred(colors, 1)[mirror]
    water = np.clip(0.45 + 0.3 * blotches(dice, HEIGHT, WIDTH, 12), 0.05, 0.7) * dice.uniform(0.5, 0.9)
    share = (water * np.where(scene.labels == ROAD, 1.0, 0.5 * ground))[..., None]
    wet: Map = colors * (1 - 0.35 * ground)[..., None] * (1 - share) + mirrored * share
    return wet


def _streaks(colors: Map, dice: Dice) -> Map:
    """Draw bright lines of one slope, one pixel wide."""
    light = np.zeros((HEIGHT, WIDTH))
    slope = dice.uniform(-0.35, 0.35)
    for _ in range(dice.integer(60, 160)):
        length, strength = dice.integer(5, 16), dice.uniform(0.06, 0.22)
        rows = dice.integer(0, HEIGHT - 1) + np.arange(length)
        columns = np.floor(dice.uniform(0, WIDTH) + slope * np.arange(length)).astype(int)
        inside = (rows < HEIGHT) & (columns >= 0) & (columns < WIDTH)
        light[rows[inside], columns[inside]] = strength
    return colors + (0.85 - colors) * light[..., None]


def _drops(colors: Map, dice: Dice) -> Map:
    """Draw drops on the lens, which show their surroundings upside down and out of focus."""
    soft, out = blurred(colors, 3), colors
    row, column = np.arange(HEIGHT)[:, None], np.arange(WIDTH)
    for _ in range(dice.integer(2, 8)):
        v, u, radius = dice.integer(0, HEIGHT - 1), dice.integer(0, WIDTH - 1), dice.uniform(2.5, 6.5)
        distance = ((row - v) ** 2 + (column - u) ** 2) / radius**2
        turned = soft[np.clip(2 * v - row, 0, HEIGHT - 1), np.clip(2 * u - column, 0, WIDTH - 1)]
        share = np.clip(2.5 * (1 - distance), 0, 0.85)[..., None]
        out = out * (1 - share) + (turned * 1.05 + 0.02) * share
    return out
