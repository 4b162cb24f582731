"""Trees and bushes: crowns of many discs, lighter towards the top."""

from flatqat.scenes.canvas import Canvas
from flatqat.scenes.classes import VEGETATION
from flatqat.scenes.dice import Dice
from flatqat.scenes.paint import Color, Paint, times, varied

LEAVES: tuple[Color, ...] = (
    (0.2, 0.34, 0.13), (0.28, 0.4, 0.16), (0.16, 0.27, 0.14), (0.36, 0.4, 0.17), (0.42, 0.34, 0.15),
)  # fmt: skip
DETAILED = 30.0  # metres up to which crowns have all their discs
BARK: Color = (0.28, 0.22, 0.17)


def _leaves(dice: Dice) -> Paint:
    return Paint(color=varied(dice, dice.pick(LEAVES)), label=VEGETATION, up=0.35, grain=0.075)


def tree(canvas: Canvas, x: float, z: float, dice: Dice) -> None:
    """Draw a tree; distant ones have fewer discs."""
    height = dice.uniform(4.5, 10)
    leaves = _leaves(dice)
    trunk = Paint(color=varied(dice, BARK), label=VEGETATION, grain=0.03)
    width = dice.uniform(0.25, 0.5)
    canvas.box(z, x, 0, width, height * 0.5, trunk)
    spread = height * dice.uniform(0.22, 0.34)
    for layer in range(3):
        for _ in range(4 - layer if z < DETAILED else 1 + (layer == 0)):
            y = height * (0.5 + 0.16 * layer) + dice.uniform(-0.3, 0.5)
            away = dice.uniform(-0.75, 0.75) * spread * (1 - 0.2 * layer)
            radius = spread * dice.uniform(0.42, 0.62)
            tone = 0.75 + 0.2 * layer + dice.uniform(-0.08, 0.08)
            leaf = leaves.of(times(leaves.color, tone))
            canvas.disc(z, x + away, y, radius, radius * 0.8, leaf)


def bush(canvas: Canvas, x: float, z: float, dice: Dice) -> None:
    """Draw a bush of three discs."""
    size = dice.uniform(0.5, 1.4)
    leaves = _leaves(dice)
    for tone, away, y in ((0.8, -0.5, 0.5), (0.85, 0.5, 0.55), (1.05, 0.0, 0.8)):
        canvas.disc(z, x + away * size, y * size, 0.75 * size, 0.6 * size, leaves.shaded(tone))
