"""Poles with lamps, traffic lights and traffic signs; trees and bushes: crowns of many discs."""

from flatqat.scenes.canvas import Canvas
from flatqat.scenes.classes import LIGHT, POLE, SIGN, VEGETATION
from flatqat.scenes.dice import Dice
from flatqat.scenes.paint import LAMP, Color, Paint, times, varied

METALS: tuple[Color, ...] = ((0.45, 0.47, 0.48), (0.3, 0.31, 0.32), (0.24, 0.3, 0.27), (0.6, 0.6, 0.58))
RED: Color = (0.85, 0.12, 0.1)
AMBER: Color = (0.95, 0.65, 0.1)
GREEN: Color = (0.1, 0.8, 0.45)
BLUE: Color = (0.1, 0.25, 0.7)
WHITE: Color = (0.92, 0.92, 0.9)
YELLOW: Color = (0.92, 0.78, 0.15)
HOUSING: Color = (0.1, 0.1, 0.11)
LEAVES: tuple[Color, ...] = (
    (0.2, 0.34, 0.13), (0.28, 0.4, 0.16), (0.16, 0.27, 0.14), (0.36, 0.4, 0.17), (0.42, 0.34, 0.15),
)  # fmt: skip
DETAILED = 30.0  # metres up to which crowns have all their discs
BARK: Color = (0.28, 0.22, 0.17)


def lamp(canvas: Canvas, x: float, z: float, dice: Dice) -> None:
    """Draw a street lamp that reaches over the road."""
    height = dice.uniform(5, 8)
    metal = Paint(color=varied(dice, dice.pick(METALS)), label=POLE)
    reach = -1.3 if x > 0 else 1.3
    canvas.box(z, x, 0, dice.uniform(0.2, 0.34), height, metal)
    canvas.box(z, x + reach / 2, height - 0.12, abs(reach), 0.14, metal)
    canvas.box(z, x + reach, height - 0.22, 0.6, 0.2, metal.of(times(LAMP, 0.8), glow=times(LAMP, 1.6)))


def post(canvas: Canvas, x: float, z: float, dice: Dice) -> None:
    """Draw a bare pole, or a low bollard."""
    metal = Paint(color=varied(dice, dice.pick(METALS)), label=POLE)
    tall = dice.chance(0.6)
    canvas.box(z, x, 0, dice.uniform(0.2, 0.3), dice.uniform(3, 7) if tall else 1.0, metal)


def traffic_light(canvas: Canvas, x: float, z: float, dice: Dice, *, facing: bool) -> None:
    """Draw three lamps in a dark housing, one of them lit; from behind only the housing."""
    foot = dice.uniform(2.2, 2.9)
    metal = Paint(color=varied(dice, dice.pick(METALS)), label=POLE)
    canvas.box(z, x, 0, 0.22, foot + 0.2, metal)
    housing = Paint(color=varied(dice, HOUSING), label=LIGHT, grain=0.01)
    canvas.box(z, x, foot - 0.1, 0.85, 1.5, housing.of(dice.pick((AMBER, AMBER, WHITE))))
    canvas.box(z, x, foot - 0.02, 0.7, 1.34, housing)
    if not facing:
        return
    lit = dice.integer(0, 2)
    for number, color in enumerate((GREEN, AMBER, RED)):
        glass = housing.of(color, glow=times(color, 1.2)) if number == lit else housing.of(times(color, 0.22))
        canvas.disc(z, x, foot + 0.25 + 0.38 * number, 0.19, 0.19, glass)


def sign(canvas: Canvas, x: float, z: float, dice: Dice) -> None:
    """Draw a round, triangular or square sign, or a board of directions, on a thin pole."""
    foot = dice.uniform(1.9, 2.6)
    metal = Paint(color=varied(dice, dice.pick(METALS)), label=POLE)
    plate = Paint(color=varied(dice, WHITE, 0.08), label=SIGN, grain=0.01)
    canvas.box(z, x, 0, 0.16, foot + 0.4, metal)
    shape = dice.integer(0, 4)
    y = foot + 0.42
    if shape == 0:
        canvas.disc(z, x, y, 0.42, 0.42, plate.of(varied(dice, RED)))
        canvas.disc(z, x, y, 0.28, 0.28, plate)
    elif shape == 1:
        canvas.disc(z, x, y, 0.42, 0.42, plate.of(varied(dice, BLUE)))
        canvas.box(z, x, y - 0.24, 0.12, 0.48, plate)
    elif shape == 2:
        for size, paint in ((1.0, plate.of(varied(dice, RED))), (0.58, plate)):
            half, low = 0.5 * size, y - 0.35 * size
            canvas.front(z, [(x - half, low), (x + half, low), (x, y + half)], paint)
    elif shape == 3:
        canvas.box(z, x, foot, 0.78, 0.78, plate.of(varied(dice, BLUE)))
        canvas.box(z, x, foot + 0.2, 0.38, 0.38, plate)
    else:
        board = plate.of(varied(dice, dice.pick((YELLOW, BLUE, GREEN))))
        canvas.box(z, x, foot, 1.6, 0.9, board)
        canvas.box(z, x, foot + 0.5, 1.2, 0.14, plate)
        canvas.box(z, x, foot + 0.2, 0.9, 0.14, plate)


def _leaves(dice: Dice) -> Paint:
    return Paint(color=varied(dice, dice.pick(LEAVES)), label=VEGETATION, up=0.35, grain=0.075)


def tree(canvas: Canvas, x: float, z: float, dice: Dice) -> None:
    """Draw a tree; distant ones have fewer discs."""
    height = dice.uniform(4.5, 10)
    leaves = _leaves(dice)
    trunk = Paint(color=varied(dice, BARK), label=VEGETATION, grain=0.03)
    canvas.box(z, x, 0, dice.uniform(0.25, 0.5), height * 0.5, trunk)
    spread = height * dice.uniform(0.22, 0.34)
    for layer in range(3):
        for _ in range(4 - layer if z < DETAILED else 1 + (layer == 0)):
            y = height * (0.5 + 0.16 * layer) + dice.uniform(-0.3, 0.5)
            away = dice.uniform(-0.75, 0.75) * spread * (1 - 0.2 * layer)
            radius = spread * dice.uniform(0.42, 0.62)
            tone = 0.75 + 0.2 * layer + dice.uniform(-0.08, 0.08)
            canvas.disc(z, x + away, y, radius, radius * 0.8, leaves.shaded(tone))


def bush(canvas: Canvas, x: float, z: float, dice: Dice) -> None:
    """Draw a bush of three discs."""
    size = dice.uniform(0.5, 1.4)
    leaves = _leaves(dice)
    for tone, away, y in ((0.8, -0.5, 0.5), (0.85, 0.5, 0.55), (1.05, 0.0, 0.8)):
        canvas.disc(z, x + away * size, y * size, 0.75 * size, 0.6 * size, leaves.shaded(tone))
