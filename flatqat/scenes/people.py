"""People on foot, and people on bicycles and motorcycles."""

from flatqat.scenes.canvas import Canvas
from flatqat.scenes.classes import BICYCLE, MOTORCYCLE, PERSON, RIDER
from flatqat.scenes.dice import Dice
from flatqat.scenes.paint import LAMP, Color, Paint, times, varied

CLOTHES: tuple[Color, ...] = (
    (0.15, 0.16, 0.2), (0.6, 0.15, 0.15), (0.2, 0.3, 0.5), (0.75, 0.72, 0.68),
    (0.3, 0.4, 0.28), (0.8, 0.55, 0.2), (0.45, 0.3, 0.45), (0.35, 0.28, 0.22),
)  # fmt: skip
JACKETS: tuple[Color, ...] = ((0.82, 0.9, 0.2), (0.95, 0.45, 0.1), (0.9, 0.8, 0.2), (0.3, 0.75, 0.75))
"""What riders wear to be seen."""
TROUSERS: tuple[Color, ...] = ((0.12, 0.13, 0.18), (0.25, 0.3, 0.42), (0.4, 0.36, 0.3), (0.1, 0.1, 0.1))
SKINS: tuple[Color, ...] = ((0.85, 0.65, 0.53), (0.6, 0.42, 0.32), (0.38, 0.25, 0.19))
HAIRS: tuple[Color, ...] = ((0.12, 0.09, 0.07), (0.35, 0.24, 0.14), (0.6, 0.5, 0.35), (0.5, 0.5, 0.5))
HELMETS: tuple[Color, ...] = ((0.85, 0.85, 0.85), (0.1, 0.1, 0.12), (0.75, 0.2, 0.15), (0.2, 0.35, 0.6))
FRAMES: tuple[Color, ...] = ((0.1, 0.1, 0.12), (0.6, 0.12, 0.12), (0.15, 0.3, 0.5), (0.6, 0.62, 0.62))
FAIRINGS: tuple[Color, ...] = ((0.75, 0.1, 0.12), (0.1, 0.2, 0.6), (0.2, 0.55, 0.2), (0.7, 0.2, 0.5))
TIRE: Color = (0.08, 0.08, 0.09)
REAR: Color = (0.7, 0.1, 0.08)  # reflectors and tail lamps


def person(canvas: Canvas, x: float, z: float, dice: Dice) -> None:
    """Draw someone who stands or walks."""
    tall, stride = dice.uniform(1.5, 1.9), dice.uniform(0.02, 0.26)
    coat = Paint(color=varied(dice, dice.pick(CLOTHES)), label=PERSON, grain=0.02)
    legs = coat.of(varied(dice, dice.pick(TROUSERS)))
    hip = 0.5 * tall
    for sign in (-1, 1):
        foot, thigh = x + sign * stride, x + sign * 0.06
        corners = [(foot - 0.08, 0), (foot + 0.1, 0), (thigh + 0.1, hip), (thigh - 0.1, hip)]
        canvas.front(z, corners, legs if sign < 0 else legs.shaded(0.8))
    _upper(canvas, x, z, hip - 0.05, tall, coat, coat.of(varied(dice, dice.pick(HAIRS))), dice)


def bicycle(canvas: Canvas, x: float, z: float, across: bool, dice: Dice) -> None:
    """Draw a bicycle from the side (`across`), with two wheels and their spokes, or from an end."""
    frame = Paint(color=varied(dice, dice.pick(FRAMES)), label=BICYCLE, grain=0.02)
    tire, spokes = frame.of(TIRE), frame.of((0.36, 0.36, 0.37))
    if not across:
        canvas.box(z, x, 0, 0.12, 0.72, tire)
        canvas.box(z, x, 0.6, 0.1, 0.4, frame)
        canvas.box(z, x, 0.95, 0.56, 0.1, frame.shaded(0.7))
        canvas.box(z, x, 0.72, 0.1, 0.1, frame.of(REAR, glow=REAR))
        return
    for away in (-0.55, 0.55):
        canvas.disc(z, x + away, 0.35, 0.36, 0.36, tire)
        canvas.disc(z, x + away, 0.35, 0.26, 0.26, spokes)
        canvas.disc(z, x + away, 0.35, 0.07, 0.07, tire)
    canvas.front(z, [(x - 0.55, 0.3), (x - 0.5, 0.38), (x - 0.1, 0.85), (x - 0.2, 0.85)], frame)
    canvas.front(z, [(x - 0.2, 0.76), (x - 0.2, 0.86), (x + 0.42, 0.9), (x + 0.42, 0.8)], frame)
    canvas.front(z, [(x - 0.14, 0.86), (x - 0.04, 0.86), (x + 0.1, 0.3), (x, 0.3)], frame)
    canvas.front(z, [(x + 0.1, 0.3), (x + 0.02, 0.36), (x + 0.4, 0.86), (x + 0.46, 0.8)], frame)
    canvas.front(z, [(x + 0.36, 1.02), (x + 0.46, 1.02), (x + 0.6, 0.35), (x + 0.5, 0.35)], frame)
    canvas.box(z, x - 0.17, 0.92, 0.3, 0.08, tire)


def motorcycle(canvas: Canvas, x: float, z: float, across: bool, dice: Dice, away: bool = True) -> None:
    """Draw a motorcycle from the side (`across`) or from an end."""
    body = Paint(color=varied(dice, dice.pick(FAIRINGS)), label=MOTORCYCLE, grain=0.02)
    tire = body.of(TIRE)
    if not across:
        lit = body.of(REAR, (0.8, 0.1, 0.08)) if away else body.of((0.9, 0.9, 0.8), times(LAMP, 1.5))
        canvas.box(z, x, 0, 0.28, 0.65, tire)
        canvas.front(z, [(x - 0.36, 0.35), (x + 0.36, 0.35), (x + 0.28, 1.05), (x - 0.28, 1.05)], body)
        canvas.box(z, x, 1.0, 0.8, 0.1, tire)
        canvas.disc(z, x, 0.8, 0.12, 0.1, lit)
        return
    for offset in (-0.7, 0.7):
        canvas.disc(z, x + offset, 0.32, 0.34, 0.34, tire)
        canvas.disc(z, x + offset, 0.32, 0.16, 0.16, tire.of((0.45, 0.45, 0.46)))
    canvas.front(z, [(x - 0.8, 0.6), (x - 0.75, 0.85), (x - 0.05, 0.8), (x + 0.05, 0.5)], tire.shaded(1.6))
    flank = [(x - 0.4, 0.25), (x - 0.4, 0.75), (x + 0.3, 1.0), (x + 0.6, 0.85), (x + 0.4, 0.25)]
    canvas.front(z, flank, body)
    canvas.front(z, [(x + 0.4, 1.1), (x + 0.52, 1.1), (x + 0.76, 0.35), (x + 0.64, 0.35)], tire.shaded(3))


def rider(canvas: Canvas, x: float, z: float, motor: bool, across: bool, away: bool, dice: Dice) -> None:
    """Draw someone on a bicycle or, with a helmet, on a motorcycle."""
    (motorcycle(canvas, x, z, across, dice, away) if motor else bicycle(canvas, x, z, across, dice))
    seat = 0.82 if motor else 0.92
    coat = Paint(color=varied(dice, dice.pick(JACKETS)), label=RIDER, grain=0.02)
    legs = coat.of(varied(dice, dice.pick(TROUSERS)))
    if across:
        low, high = x - 0.28, x - 0.02
        canvas.front(z, [(low + 0.05, seat), (high, seat), (x + 0.2, 0.3), (x + 0.06, 0.26)], legs)
    else:
        leg = ((0.06, seat), (0.2, seat), (0.24, 0.32), (0.1, 0.3))
        for sign in (-1, 1):
            canvas.front(z, [(x + sign * beside, y) for beside, y in leg], legs)
    bare = not motor and dice.chance(0.5)
    head = coat.of(varied(dice, dice.pick(HAIRS if bare else HELMETS)))
    _upper(canvas, x - 0.08 * across, z, seat - 0.05, seat + 0.95, coat, head, dice)


def _upper(
    canvas: Canvas, x: float, z: float, hip: float, top: float, coat: Paint, head: Paint, dice: Dice
) -> None:
    """Draw arms, torso and head."""
    neck = top - 0.27
    broad = dice.uniform(0.2, 0.27)
    sleeve = coat.shaded(0.82)
    for sign in (-1, 1):
        corners = [(x + sign * (broad - 0.04), neck), (x + sign * (broad + 0.09), neck - 0.1)]
        canvas.front(z, [*corners, (x + sign * (broad + 0.1), hip), (x + sign * (broad - 0.02), hip)], sleeve)
    torso = [(x - 0.19, hip), (x + 0.19, hip), (x + broad, neck - 0.04), (x - broad, neck - 0.04)]
    canvas.front(z, torso, coat)
    canvas.box(z, x, neck - 0.06, 0.16, 0.12, coat.of(dice.pick(SKINS)))
    canvas.disc(z, x, top - 0.13, 0.12, 0.14, coat.of(varied(dice, dice.pick(SKINS), 0.1)))
    canvas.disc(z, x, top - 0.07, 0.13, 0.1, head)
