"""What is along both sides of a street, block by block, and what closes the view at its end."""

from flatqat.scenes.barriers import fence, hedge, wall
from flatqat.scenes.buildings import WALLS, building
from flatqat.scenes.canvas import Canvas
from flatqat.scenes.classes import BUILDING, VEGETATION
from flatqat.scenes.dice import Dice
from flatqat.scenes.paint import Paint, varied
from flatqat.scenes.plants import LEAVES, bush, tree
from flatqat.scenes.street import ASIDE, FAR, Street

BARRIERS = (wall, wall, wall, fence, fence, fence, fence, hedge)


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
