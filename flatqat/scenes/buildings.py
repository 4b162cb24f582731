"""Rows of houses: facades along the street with windows in perspective, their fronts, shops and roofs."""

import numpy as np

from flatqat.scenes.camera import Plane
from flatqat.scenes.canvas import NOWHERE, Canvas, Region
from flatqat.scenes.classes import BUILDING
from flatqat.scenes.dice import Dice
from flatqat.scenes.paint import LAMP, Color, Paint, times, varied
from flatqat.scenes.smooth import Map

WALLS: tuple[Color, ...] = (
    (0.74, 0.66, 0.52), (0.62, 0.36, 0.28), (0.8, 0.77, 0.7), (0.55, 0.53, 0.52), (0.68, 0.52, 0.42),
    (0.5, 0.42, 0.37), (0.72, 0.7, 0.6), (0.58, 0.6, 0.64), (0.78, 0.62, 0.46), (0.45, 0.32, 0.28),
)  # fmt: skip
ROOFS: tuple[Color, ...] = ((0.5, 0.25, 0.2), (0.3, 0.28, 0.3), (0.42, 0.33, 0.28), (0.25, 0.27, 0.32))
GLASSES: tuple[Color, ...] = ((0.2, 0.23, 0.28), (0.32, 0.38, 0.45), (0.16, 0.17, 0.19), (0.42, 0.46, 0.5))
AWNINGS: tuple[Color, ...] = ((0.6, 0.15, 0.13), (0.15, 0.35, 0.25), (0.2, 0.25, 0.5), (0.75, 0.6, 0.2))
FLOOR = 3.1  # metres


def building(canvas: Canvas, x: float, z: float, length: float, top: float, light: float, dice: Dice) -> None:
    """Draw a house whose facade runs along the street at x from depth z on; `light` shades that side."""
    wall = Paint(color=varied(dice, dice.pick(WALLS)), label=BUILDING, grain=0.02)
    outer = x + (14.0 if x > 0 else -14.0)
    if dice.chance(0.5):
        rise, tiles = dice.uniform(1.5, 3.5), varied(dice, dice.pick(ROOFS))
        at = canvas.camera.at
        slope = [at(x, top, z), at(x, top, z + length)]
        ridge = [at(x + rise * (1 if x > 0 else -1), top + rise, z + far) for far in (length, 0.0)]
        roof = Paint(color=times(tiles, light), label=BUILDING, up=0.95, grain=0.02)
        canvas.polygon(slope + ridge, canvas.camera.side(x), roof)
    windows = _Windows(dice, light)
    front = canvas.front(z, [(x, 0), (outer, 0), (outer, top), (x, top)], wall.shaded(0.82))
    windows.front(canvas, front, z, wall, top)
    facade = canvas.side(x, [(z, 0), (z + length, 0), (z + length, top), (z, top)], wall.shaded(light))
    windows.side(canvas, facade, x, z, wall, top)
    if dice.chance(0.35):
        fabric = wall.of(times(varied(dice, dice.pick(AWNINGS)), light))
        canvas.side(x, [(z, 2.6), (z + length, 2.6), (z + length, 3.3), (z, 3.3)], fabric)


class _Windows:
    """The windows of one house: their spacing, the share of glass both ways, and which are lit at night."""

    def __init__(self, dice: Dice, light: float) -> None:
        self.pitch = dice.uniform(2.0, 4.2)
        self.share = dice.uniform(0.35, 0.75)
        self.tall = dice.uniform(0.4, 0.65)
        self.glass = times(varied(dice, dice.pick(GLASSES)), 0.4 + 0.6 * light)
        self.lit = dice.integer(0, 4)
        self.salt = dice.integer(0, 6)
        self.shops = dice.chance(0.5)

    def side(self, canvas: Canvas, region: Region, x: float, z0: float, wall: Paint, top: float) -> None:
        """Draw the windows of the facade along the street."""
        camera = canvas.camera
        z = camera.depth(x, region.columns)
        self._draw(canvas, region, z - z0, camera.over_ground(region.rows, z), camera.side(x), wall, top)

    def front(self, canvas: Canvas, region: Region, z: float, wall: Paint, top: float) -> None:
        """Draw the windows of the front that faces the camera."""
        camera = canvas.camera
        x = (region.columns - camera.center) * z / camera.focal
        along, y = x + 1000 * self.pitch, camera.over_ground(region.rows, z)
        self._draw(canvas, region, along, y, camera.front(z), wall, top)

    def _draw(
        self, canvas: Canvas, region: Region, along: Map, y: Map, plane: Plane, wall: Paint, top: float
    ) -> None:
        if region is NOWHERE:
            return
        across, up = along / self.pitch, y / FLOOR
        column, storey = np.floor(across), np.floor(up)
        glass = (np.abs(across - column - 0.5) < self.share / 2) & (np.abs(up - storey - 0.5) < self.tall / 2)
        glass &= y < top - 0.5
        if self.shops:
            glass = np.where(y < FLOOR, (y > 0.5) & (y < 2.6) & (np.abs(across - column - 0.5) < 0.42), glass)
        lit = (column * 5 + storey * 3 + column * storey + self.salt) % 7 < self.lit
        canvas.cover(region, glass & ~lit, plane, wall.of(self.glass))
        canvas.cover(region, glass & lit, plane, wall.of(times(self.glass, 1.25), glow=times(LAMP, 0.55)))
