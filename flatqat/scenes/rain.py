"""Rain: grey light, a wet road that mirrors what stands behind it, streaks, and drops on the lens."""

import numpy as np

from flatqat.scenes.classes import ROAD, SIDEWALK
from flatqat.scenes.dice import Dice
from flatqat.scenes.fog import veiled
from flatqat.scenes.scene import VERSION, Map, Scene
from flatqat.scenes.size import HEIGHT, WIDTH
from flatqat.scenes.smooth import blotches, blurred

RAIN = 3


def rain(scene: Scene) -> Map:
    dice = Dice(VERSION, scene.number, RAIN)
    red, green, blue = np.moveaxis(scene.colours, -1, 0)
    grey = (0.299 * red + 0.587 * green + 0.114 * blue)[..., None]
    colours = scene.colours + 0.3 * (grey - scene.colours)
    colours = colours * dice.uniform(0.65, 0.85)
    colours = _wet(scene, colours, dice)
    tone = dice.uniform(0.55, 0.72) * np.array([0.98, 1.0, 1.03])
    colours = veiled(colours, scene.depth, 3 / dice.uniform(120, 300), tone)
    colours = _streaks(colours, dice)
    return _drops(colours, dice)


def _wet(scene: Scene, colours: Map, dice: Dice) -> Map:
    """Darker ground; what is far falls on it mirrored at the horizon, most of all in puddles."""
    ground = (scene.labels == ROAD) | (scene.labels == SIDEWALK)
    mirror = np.clip(np.floor(2 * scene.horizon - np.arange(HEIGHT)).astype(int), 0, HEIGHT - 1)
    seen = blurred(colours, 1)[mirror]
    water = np.clip(0.45 + 0.3 * blotches(dice, HEIGHT, WIDTH, 12), 0.05, 0.7) * dice.uniform(0.5, 0.9)
    share = (water * np.where(scene.labels == ROAD, 1.0, 0.5 * ground))[..., None]
    wet: Map = colours * (1 - 0.35 * ground)[..., None] * (1 - share) + seen * share
    return wet


def _streaks(colours: Map, dice: Dice) -> Map:
    """Bright lines of one slope, a pixel wide."""
    light = np.zeros((HEIGHT, WIDTH))
    slope = dice.uniform(-0.35, 0.35)
    for _ in range(dice.integer(60, 160)):
        length, strength = dice.integer(5, 16), dice.uniform(0.06, 0.22)
        rows = dice.integer(0, HEIGHT - 1) + np.arange(length)
        columns = np.floor(dice.uniform(0, WIDTH) + slope * np.arange(length)).astype(int)
        inside = (rows < HEIGHT) & (columns >= 0) & (columns < WIDTH)
        light[rows[inside], columns[inside]] = strength
    rained: Map = colours + (0.85 - colours) * light[..., None]
    return rained


def _drops(colours: Map, dice: Dice) -> Map:
    """Drops on the lens show their surroundings upside down and out of focus."""
    soft = blurred(colours, 3)
    out = colours.copy()
    row, column = np.arange(HEIGHT)[:, None], np.arange(WIDTH)
    for _ in range(dice.integer(2, 8)):
        v, u, radius = dice.integer(0, HEIGHT - 1), dice.integer(0, WIDTH - 1), dice.uniform(2.5, 6.5)
        distance = ((row - v) ** 2 + (column - u) ** 2) / radius**2
        turned = soft[np.clip(2 * v - row, 0, HEIGHT - 1), np.clip(2 * u - column, 0, WIDTH - 1)]
        share = np.clip(2.5 * (1 - distance), 0, 0.85)[..., None]
        out = out * (1 - share) + (turned * 1.05 + 0.02) * share
    return out
