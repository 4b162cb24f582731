"""What is along both sides of a street: houses, gardens, walls, fences, hedges; and the skyline."""

import numpy as np

from flatqat.scenes.buildings import WALLS, building
from flatqat.scenes.canvas import NOWHERE, Canvas
from flatqat.scenes.classes import BUILDING, FENCE, VEGETATION, WALL
from flatqat.scenes.dice import Dice
from flatqat.scenes.furniture import LEAVES, bush, tree
from flatqat.scenes.paint import Color, Paint, varied
from flatqat.scenes.street import ASIDE, FAR, Street

CONCRETES: tuple[Color, ...] = ((0.7, 0.7, 0.69), (0.62, 0.63, 0.64), (0.74, 0.7, 0.6), (0.66, 0.66, 0.7))
METALS: tuple[Color, ...] = ((0.1, 0.3, 0.26), (0.55, 0.33, 0.14), (0.14, 0.16, 0.24), (0.85, 0.85, 0.82))
BEHIND: tuple[Color, ...] = ((0.2, 0.46, 0.36), (0.26, 0.44, 0.34))
HEDGES: tuple[Color, ...] = ((0.17, 0.3, 0.14), (0.24, 0.36, 0.16), (0.2, 0.27, 0.15))


def skyline(canvas: Canvas, dice: Dice) -> None:
    """Draw hazy houses and trees far away, along the whole horizon."""
    x = -150.0
    while x < 150:
        width = dice.uniform(8, 24)
        if dice.chance(0.5):
            paint = Paint(color=varied(dice, dice.pick(WALLS)), label=BUILDING)
            canvas.box(FAR + 60, x, 0, width, dice.uniform(6, 24), paint)
        else:
            paint = Paint(color=varied(dice, dice.pick(LEAVES)), label=VEGETATION, up=0.3, grain=0.06)
            canvas.disc(FAR + 60, x, 2, width * 0.7, dice.uniform(5, 14), paint)
        x += width * dice.uniform(0.6, 1.2)


def line(canvas: Canvas, street: Street, side: int, light: float, dice: Dice) -> None:
    """Draw one side (0 left, 1 right), from far to near, with a gap for a crossing street."""
    x, sign = street.edge[side], (-1, 1)[side]
    built, barred = dice.uniform(0.2, 0.85), dice.chance(0.75)
    setback = dice.uniform(2, 6) if barred else 0.0
    blocks, z = [], dice.uniform(1.3, 6)
    while z < FAR:
        length = dice.uniform(7, 20)
        if street.crossing and z < street.crossing[1] + ASIDE and z + length > street.crossing[0] - ASIDE:
            length = street.crossing[0] - ASIDE - z
            if length > 4:
                blocks.append((z, length))
            z = street.crossing[1] + ASIDE
            continue
        blocks.append((z, length))
        z += length
    for z, length in reversed(blocks):
        if dice.chance(built):
            building(canvas, x + sign * setback, z, length, dice.uniform(5, 18), light, dice)
        else:
            _garden(canvas, x, sign, z, length, light, dice)
        if barred and dice.chance(0.85):
            dice.pick(BARRIERS)(canvas, x, z, length, light, dice)


def _garden(canvas: Canvas, x: float, sign: int, z: float, length: float, light: float, dice: Dice) -> None:
    """Draw trees, and sometimes a house behind them."""
    if dice.chance(0.3):
        building(canvas, x + 9.0 * sign, z + 1, length, dice.uniform(4, 10), light * 0.95, dice)
    depth = z + length
    while depth > max(z, 4):
        away = sign * dice.uniform(1.5, 6)
        (tree if dice.chance(0.7) else bush)(canvas, x + away, depth, dice)
        depth -= dice.uniform(4, 10)


def _wall(canvas: Canvas, x: float, z: float, length: float, light: float, dice: Dice) -> None:
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


def _hedge(canvas: Canvas, x: float, z: float, length: float, light: float, dice: Dice) -> None:
    """Draw a hedge that is lighter at the top."""
    height = dice.uniform(0.9, 2.2)
    paint = Paint(color=varied(dice, dice.pick(HEDGES)), label=VEGETATION, up=0.3, grain=0.08)
    _block(canvas, x, z, length, height, paint, light)
    top = paint.shaded(1.2 * light)
    canvas.side(x, [(z, height), (z + length, height), (z + length, height - 0.3), (z, height - 0.3)], top)


def _fence(canvas: Canvas, x: float, z: float, length: float, light: float, dice: Dice) -> None:
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


def _block(canvas: Canvas, x: float, z: float, length: float, top: float, paint: Paint, light: float) -> None:
    """Draw the end that faces the camera, and the face along the street."""
    outer = x + (0.4 if x > 0 else -0.4)
    canvas.front(z, [(x, 0), (outer, 0), (outer, top), (x, top)], paint.shaded(0.85))
    canvas.side(x, [(z, 0), (z + length, 0), (z + length, top), (z, top)], paint.shaded(light))


BARRIERS = (_wall, _wall, _wall, _fence, _fence, _fence, _fence, _hedge)
