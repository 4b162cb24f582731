"""Snow: white on what faces up, a gray sky, and flakes that are larger and softer when nearer."""

import numpy as np

from flatqat.scenes.classes import ROAD, SKY
from flatqat.scenes.dice import Dice
from flatqat.scenes.fog import veiled
from flatqat.scenes.scene import VERSION, Scene
from flatqat.scenes.size import HEIGHT, WIDTH
from flatqat.scenes.smooth import Map, blotches

SNOW = 4
WHITE = np.array([0.9, 0.92, 0.96])
LAYERS = ((420, 0.6, 0.5), (110, 1.0, 0.7), (26, 1.9, 0.75))
"""Flakes, their radius in pixels, and how opaque they are: far, middle and near ones."""


def snow(scene: Scene) -> Map:
    """Return the scene in snow."""
    dice = Dice(VERSION, scene.number, SNOW)
    gray = dice.uniform(0.68, 0.82) * np.array([0.98, 1.0, 1.02])
    colors = np.where((scene.labels == SKY)[..., None], gray, scene.colors * dice.uniform(0.8, 0.95))
    share = _cover(scene, dice)[..., None]
    white = WHITE * (0.94 + 0.04 * blotches(dice, HEIGHT, WIDTH, 6))[..., None]
    colors = colors * (1 - share) + white * share
    colors = veiled(colors, scene.depth, 3 / dice.uniform(90, 300), gray)
    return _flakes(colors, dice)


def _cover(scene: Scene, dice: Dice) -> Map:
    """Return how white each pixel is: by how far it faces up, in patches, and less on the road."""
    patches = np.clip(dice.uniform(0.35, 1.0) + 0.3 * blotches(dice, HEIGHT, WIDTH, 8), 0, 1)
    swept = np.where(scene.labels == ROAD, dice.uniform(0.4, 1.2), 1.0)
    return np.clip(scene.up * patches * swept * 1.25, 0, 0.95)


def _flakes(colors: Map, dice: Dice) -> Map:
    """Draw flakes, each a disc with a soft edge."""
    share = np.zeros((HEIGHT, WIDTH))
    density = dice.uniform(0.5, 1.3)
    for count, radius, opacity in LAYERS:
        for _ in range(int(count * density)):
            v, u = dice.uniform(0, HEIGHT), dice.uniform(0, WIDTH)
            size = radius * dice.uniform(0.7, 1.4)
            top, left = max(int(v - size), 0), max(int(u - size), 0)
            rows = np.arange(top, min(int(v + size) + 1, HEIGHT))[:, None]
            columns = np.arange(left, min(int(u + size) + 1, WIDTH))
            distance = ((rows + 0.5 - v) ** 2 + (columns + 0.5 - u) ** 2) / (size * size)
            flake = opacity * np.clip(1.5 * (1 - distance), 0, 1)
            window = share[top : int(v + size) + 1, left : int(u + size) + 1]
            np.maximum(window, flake, out=window)
    return colors + (0.96 - colors) * share[..., None]
