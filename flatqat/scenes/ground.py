"""The road with its markings, sidewalks, open ground, and the crossing street."""

from itertools import pairwise

from flatqat.scenes.canvas import Canvas
from flatqat.scenes.classes import ROAD, SIDEWALK, TERRAIN
from flatqat.scenes.dice import Dice
from flatqat.scenes.paint import Color, Paint, varied
from flatqat.scenes.street import ASIDE, CURB, FAR, LANE, NEAR, TRACK, Street

HORIZON = 2000.0  # metres
ASPHALTS: tuple[Color, ...] = ((0.31, 0.31, 0.34), (0.36, 0.36, 0.38), (0.27, 0.28, 0.31), (0.38, 0.38, 0.42))
PAVINGS: tuple[Color, ...] = (
    (0.64, 0.57, 0.5), (0.68, 0.54, 0.47), (0.62, 0.59, 0.52), (0.7, 0.65, 0.56), (0.6, 0.46, 0.4),
)  # fmt: skip
GRASSES: tuple[Color, ...] = ((0.38, 0.47, 0.2), (0.46, 0.48, 0.25), (0.5, 0.44, 0.29), (0.33, 0.45, 0.2))
WHITE: Color = (0.86, 0.86, 0.84)
RAIL: Color = (0.2, 0.19, 0.19)


def lay(canvas: Canvas, street: Street, dice: Dice) -> None:
    """Draw everything flat, from bottom to top."""
    road = Paint(color=varied(dice, dice.pick(ASPHALTS), 0.12), label=ROAD, up=0.55, grain=0.022)
    paving = Paint(color=varied(dice, dice.pick(PAVINGS), 0.12), label=SIDEWALK, up=0.9, grain=0.02)
    grass = Paint(color=varied(dice, dice.pick(GRASSES), 0.15), label=TERRAIN, up=1.0, grain=0.05)
    _strip(canvas, -HORIZON, HORIZON, grass, far=HORIZON)
    _strip(canvas, *street.walk, paving, far=HORIZON)
    _slabs(canvas, street, paving, dice)
    _strip(canvas, street.road[0] - CURB, street.road[1] + CURB, paving.shaded(1.22), far=HORIZON)
    _strip(canvas, *street.road, road, far=HORIZON)
    _patches(canvas, street, road, dice)
    _markings(canvas, street, road.of(WHITE))
    if street.crossing:
        _cross(canvas, street, street.crossing, road, paving)
    _shadow(canvas, street, road, paving, dice)


def _strip(canvas: Canvas, x0: float, x1: float, paint: Paint, near: float = NEAR, far: float = FAR) -> None:
    canvas.floor([(x0, near), (x1, near), (x1, far), (x0, far)], paint)


def _slabs(canvas: Canvas, street: Street, paving: Paint, dice: Dice) -> None:
    """Draw the joints of the paving, or darker slabs in turn."""
    pitch = dice.uniform(1.2, 2.5)
    joint = dice.uniform(0.12, 0.6) * pitch
    dark = paving.shaded(dice.uniform(0.86, 0.96))
    z = 5.0
    while z < 26:
        _strip(canvas, *street.walk, dark, z, z + joint)
        z += pitch


def _patches(canvas: Canvas, street: Street, road: Paint, dice: Dice) -> None:
    """Draw repaired asphalt, and a manhole cover now and then."""
    for _ in range(dice.integer(1, 4)):
        x, z = dice.uniform(street.road[0], street.road[1] - 1), dice.uniform(4, 25)
        tone = road.shaded(dice.uniform(0.82, 1.12))
        _strip(canvas, x, min(x + dice.uniform(0.5, 3), street.road[1]), tone, z, z + dice.uniform(0.6, 9))


def _markings(canvas: Canvas, street: Street, white: Paint) -> None:
    """Draw dashes between lanes of one direction, a line between directions, and rails on the track."""
    drives = sorted((lane for lane in street.lanes if lane.kind == "drive"), key=lambda lane: lane.x)
    for first, second in pairwise(drives):
        x = (first.x + second.x) / 2
        if first.away == second.away:
            for start in range(3, 60, 6):
                _strip(canvas, x - 0.08, x + 0.08, white, start, start + 3)
        elif second.x - first.x < LANE + 0.1:
            _strip(canvas, x - 0.07, x + 0.07, white, far=90)
    for lane in street.lanes:
        if lane.kind == "track":
            for x in (lane.x - TRACK / 4, lane.x + TRACK / 4):
                _strip(canvas, x - 0.07, x + 0.07, white.of(RAIL), far=90)
        if lane.kind == "park":
            inner = lane.x - 1.05 if lane.x > 0 else lane.x + 1.05
            _strip(canvas, inner - 0.05, inner + 0.05, white.shaded(0.9), far=60)


def _cross(canvas: Canvas, street: Street, depths: tuple[float, float], road: Paint, paving: Paint) -> None:
    """Draw the crossing street between its own sidewalks, with a zebra crossing before it."""
    start, end = depths
    wide = 60.0
    for low, high in ((-wide, street.road[0] - CURB), (street.road[1] + CURB, wide)):
        _strip(canvas, low, high, paving, start - ASIDE, end + ASIDE)
    _strip(canvas, -wide, wide, road, start, end)
    x = street.road[0] + 0.3
    while x < street.road[1] - 0.5:
        _strip(canvas, x, x + 0.5, road.of(WHITE), start - 4.0, start - 1.0)
        x += 1.0


def _shadow(canvas: Canvas, street: Street, road: Paint, paving: Paint, dice: Dice) -> None:
    """Shade the sidewalk and part of the road on one side, as buildings do on sunny days."""
    if not dice.chance(0.5):
        return
    side, depth = (0 if dice.chance(0.5) else 1), dice.uniform(0.8, 4.0)
    edge, outer = street.road[side], street.walk[side]
    inner = edge - depth if side else edge + depth
    end = street.crossing[0] - ASIDE if street.crossing else FAR
    _strip(canvas, edge, inner, road.shaded(0.72), far=end)
    _strip(canvas, edge, outer, paving.shaded(0.7), far=end)
