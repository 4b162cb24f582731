"""Walls, fences and hedges along the street."""

import numpy as np

from flatqat.scenes.canvas import NOWHERE, Canvas
from flatqat.scenes.classes import FENCE, VEGETATION, WALL
from flatqat.scenes.dice import Dice
from flatqat.scenes.paint import Color, Paint, varied

CONCRETES: tuple[Color, ...] = ((0.7, 0.7, 0.69), (0.62, 0.63, 0.64), (0.74, 0.7, 0.6), (0.66, 0.66, 0.7))
METALS: tuple[Color, ...] = ((0.1, 0.3, 0.26), (0.55, 0.33, 0.14), (0.14, 0.16, 0.24), (0.85, 0.85, 0.82))
BEHIND: tuple[Color, ...] = ((0.2, 0.46, 0.36), (0.26, 0.44, 0.34))
HEDGES: tuple[Color, ...] = ((0.17, 0.3, 0.14), (0.24, 0.36, 0.16), (0.2, 0.27, 0.15))


def wall(canvas: Canvas, x: float, z: float, length: float, light: float, dice: Dice) -> None:
    """Draw a wall of concrete or brick, with a coping and joints."""
    height = dice.uniform(1.8, 3.6)
    paint = Paint(color=varied(dice, dice.pick(CONCRETES)), label=WALL, grain=0.035)
    _block(canvas, x, z, length, height, paint, light)
    joint, pitch = paint.shaded(light * 0.8), dice.uniform(2, 5)
    start = z + pitch
    while start < min(z + length, z + 30):
        end = start + 0.12
        canvas.side(x, [(start, 0), (end, 0), (end, height), (start, height)], joint)
        start += pitch
    cap = paint.shaded(1.1 * light)
    canvas.side(x, [(z, height), (z + length, height), (z + length, height - 0.15), (z, height - 0.15)], cap)


def hedge(canvas: Canvas, x: float, z: float, length: float, light: float, dice: Dice) -> None:
    """Draw a hedge that is lighter at the top."""
    height = dice.uniform(0.9, 2.2)
    paint = Paint(color=varied(dice, dice.pick(HEDGES)), label=VEGETATION, up=0.3, grain=0.08)
    _block(canvas, x, z, length, height, paint, light)
    top = paint.shaded(1.2 * light)
    canvas.side(x, [(z, height), (z + length, height), (z + length, height - 0.3), (z, height - 0.3)], top)


def fence(canvas: Canvas, x: float, z: float, length: float, light: float, dice: Dice) -> None:
    """Draw bars and rails; what is visible between them belongs to the fence."""
    height = dice.uniform(1.4, 2.6)
    behind = Paint(color=varied(dice, dice.pick(BEHIND)), label=FENCE, grain=0.05).shaded(light)
    bars = behind.of(varied(dice, dice.pick(METALS))).shaded(light)
    region = canvas.side(x, [(z, 0), (z + length, 0), (z + length, height), (z, height)], behind)
    if region is NOWHERE:
        return
    depth = canvas.camera.depth(x, region.columns)
    y = canvas.camera.over_ground(region.rows, depth)
    across = (depth - z) / dice.uniform(0.35, 0.9)
    share = dice.uniform(0.3, 0.5)
    pattern = (across - np.floor(across) < share) | (y > height - 0.16) | (np.abs(y - 0.25) < 0.09)
    canvas.cover(region, pattern, canvas.camera.side(x), bars)


def _block(
    canvas: Canvas, x: float, z: float, length: float, height: float, paint: Paint, light: float
) -> None:
    """Draw the end that faces the camera, and the face along the street."""
    outer = x + (0.4 if x > 0 else -0.4)
    canvas.front(z, [(x, 0), (outer, 0), (outer, height), (x, height)], paint.shaded(0.85))
    canvas.side(x, [(z, 0), (z + length, 0), (z + length, height), (z, height)], paint.shaded(light))
