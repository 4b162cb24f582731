"""Cars, trucks, buses and trams: the face towards the camera and the flank, with their shadow.

A vehicle is at x (its middle) from depth z on. `away` means that it drives in the camera's direction, so that
its rear is visible.
"""

from flatqat.scenes.canvas import Canvas
from flatqat.scenes.classes import BUS, CAR, ROAD, TRAIN, TRUCK
from flatqat.scenes.dice import Dice
from flatqat.scenes.paint import LAMP, Color, Paint, times, varied

BODIES: tuple[Color, ...] = (
    (0.12, 0.12, 0.14), (0.78, 0.78, 0.8), (0.5, 0.52, 0.55), (0.6, 0.1, 0.1), (0.13, 0.22, 0.48),
    (0.86, 0.86, 0.86), (0.2, 0.3, 0.24), (0.28, 0.28, 0.31), (0.66, 0.56, 0.42), (0.75, 0.55, 0.1),
)  # fmt: skip
CARGO: tuple[Color, ...] = ((0.86, 0.86, 0.84), (0.7, 0.72, 0.75), (0.72, 0.68, 0.58), (0.35, 0.45, 0.62))
BUSES: tuple[Color, ...] = ((0.88, 0.7, 0.1), (0.85, 0.75, 0.25), (0.78, 0.15, 0.13))
TRAMS: tuple[Color, ...] = ((0.86, 0.86, 0.8), (0.8, 0.84, 0.86), (0.85, 0.8, 0.65))
GLASS: Color = (0.13, 0.16, 0.2)
TIRE: Color = (0.07, 0.07, 0.08)
TAIL: Color = (0.7, 0.07, 0.06)
HEAD: Color = (0.95, 0.94, 0.88)
BOARD: Color = (0.16, 0.13, 0.08)  # behind a lit destination


class Hull:
    """The outline of a vehicle on the ground, and which of its flanks the camera sees."""

    def __init__(self, canvas: Canvas, x: float, z: float, width: float, length: float) -> None:
        self.canvas, self.z, self.width, self.length = canvas, z, width, length
        self.low, self.high = x - width / 2, x + width / 2
        self.flank = self.low if self.low > 0.05 else self.high if self.high < -0.05 else None
        shade = Paint(color=(0.1, 0.1, 0.11), label=ROAD, grain=0.01)
        left, right, end = self.low - 0.15, self.high + 0.15, z + length
        canvas.floor([(left, z - 0.25), (right, z - 0.25), (right, end), (left, end)], shade)

    def panel(self, start: float, foot: float, end: float, top: float, paint: Paint) -> None:
        """Draw a rectangle of the flank; start and end are shares of the length."""
        self.outline([(start, foot), (end, foot), (end, top), (start, top)], paint)

    def outline(self, corners: list[tuple[float, float]], paint: Paint) -> None:
        """Draw a polygon of the flank, with corners (share of the length, height)."""
        if self.flank is not None:
            self.canvas.side(self.flank, [(self.z + share * self.length, y) for share, y in corners], paint)

    def wheels(self, shares: tuple[float, ...], radius: float, paint: Paint) -> None:
        """Draw wheels at shares of the length."""
        if self.flank is not None:
            for z in (self.z + share * self.length for share in shares):
                self.canvas.wheel(self.flank, z, radius, paint)
                self.canvas.wheel(self.flank, z, radius * 0.5, paint.of((0.4, 0.4, 0.42)))

    def face(self, left: float, foot: float, right: float, top: float, paint: Paint) -> None:
        """Draw a rectangle of the face; left and right are shares of the width."""
        middle, width = self.low + (left + right) / 2 * self.width, (right - left) * self.width
        self.canvas.box(self.z, middle, foot, width, top - foot, paint)

    def taper(
        self, foot: float, inset: float, top: float, inset_top: float, paint: Paint, behind: float = 0.0
    ) -> None:
        """Draw a trapezoid `behind` the face; the insets at foot and top are metres from the sides."""
        corners = [(self.low + inset, foot), (self.high - inset, foot)]
        corners += [(self.high - inset_top, top), (self.low + inset_top, top)]
        self.canvas.front(self.z + behind, corners, paint)

    def lamps(self, y: float, size: float, away: bool, paint: Paint) -> None:
        """Draw red lamps at the rear, or white ones in front."""
        color, glow = (TAIL, times(TAIL, 1.1)) if away else (HEAD, times(LAMP, 1.8))
        lit = paint.of(color, glow)
        self.face(0.03, y, 0.03 + size, y + 0.18, lit)
        self.face(0.97 - size, y, 0.97, y + 0.18, lit)


def car(canvas: Canvas, x: float, z: float, away: bool, dice: Dice) -> None:
    """Draw a hatchback, sedan or van."""
    van = dice.chance(0.18)
    length = dice.uniform(4.4, 5.2) if van else dice.uniform(3.7, 4.7)
    roof = dice.uniform(1.8, 2.1) if van else dice.uniform(1.38, 1.62)
    hull = Hull(canvas, x, z, 1.85, length)
    body = Paint(color=varied(dice, dice.pick(BODIES)), label=CAR, grain=0.012)
    dark, glass = body.of(TIRE), body.of(varied(dice, GLASS, 0.3))
    belt, white = 0.6 * roof, Paint(color=times(body.color, 1.12), label=CAR, up=1.0)
    flank = body.shaded(0.82)
    back, front = (0.04, 0.3) if away else (0.3, 0.04)
    hull.outline([(0, 0.3), (1, 0.3), (1, belt * 0.9), (0.97, belt), (0.03, belt), (0, belt * 0.9)], flank)
    hull.outline([(back, belt), (back + 0.1, roof), (1 - front - 0.12, roof), (1 - front, belt)], flank)
    high = roof - 0.12
    pane = [(back + 0.06, belt), (back + 0.13, high), (0.84 - front, high), (0.93 - front, belt)]
    hull.outline(pane, glass)
    hull.panel(0.47, belt, 0.5, roof - 0.1, flank)
    hull.wheels((0.19, 0.8), 0.33, dark)
    hull.face(0.06, 0.0, 0.2, 0.35, dark)
    hull.face(0.8, 0.0, 0.94, 0.35, dark)
    deep = 0.0 if van or away else 0.9  # the hood before the windshield
    inset = 0.1 if van else 0.24
    hull.taper(belt, 0.06, roof, inset, body, deep)
    hull.taper(belt + 0.04, 0.16, roof - 0.13, inset + 0.06, glass, deep)
    hull.taper(roof - 0.08, inset, roof, inset, white, deep)
    hull.face(0, 0.28, 1, belt, body)
    hull.face(0.02, belt - 0.08, 0.98, belt + 0.02, white)
    hull.face(0.02, 0.22, 0.98, 0.42, body.shaded(0.45))
    hull.lamps(belt - 0.3, 0.2, away, body)
    hull.face(0.38, 0.45, 0.62, 0.58, body.of((0.85, 0.85, 0.8)))


def truck(canvas: Canvas, x: float, z: float, away: bool, dice: Dice) -> None:
    """Draw a truck: a cab and a box behind it."""
    length, top = dice.uniform(7, 10), dice.uniform(3.1, 3.8)
    hull = Hull(canvas, x, z, 2.5, length)
    cargo = Paint(color=varied(dice, dice.pick(CARGO)), label=TRUCK, grain=0.015)
    cab = cargo.of(varied(dice, dice.pick(BODIES)))
    dark, glass = cargo.of(TIRE), cargo.of(varied(dice, GLASS, 0.3))
    start, end = (0.0, 0.74) if away else (0.26, 1.0)
    hull.panel(0, 0.5, 1, 0.95, dark.shaded(2))
    hull.panel(start, 0.95, end, top, cargo.shaded(0.8))
    near, far = (0.77, 1.0) if away else (0.0, 0.23)
    hull.panel(near, 0.5, far, 2.7, cab.shaded(0.8))
    hull.panel(near + 0.05, 1.6, far - 0.05, 2.4, glass)
    hull.wheels((0.12, 0.25, 0.85) if away else (0.15, 0.75, 0.88), 0.48, dark)
    hull.face(0.05, 0, 0.22, 0.6, dark)
    hull.face(0.78, 0, 0.95, 0.6, dark)
    hull.face(0, 0.55, 1, 0.95, dark.shaded(2.5))
    hull.face(0, 0.95, 1, top, cargo if away else cargo.shaded(0.7))
    if away:
        hull.face(0.48, 1.0, 0.52, top - 0.1, cargo.shaded(0.6))
    else:
        hull.face(0.02, 0.6, 0.98, 2.7, cab)
        hull.face(0.08, 1.55, 0.92, 2.45, glass)
        hull.face(0.25, 0.8, 0.75, 1.3, dark.shaded(2))
    hull.face(0, top - 0.12, 1, top, Paint(color=times(cargo.color, 1.1), label=TRUCK, up=1.0))
    hull.lamps(0.65, 0.14, away, cargo)


def bus(canvas: Canvas, x: float, z: float, away: bool, dice: Dice) -> None:
    """Draw a bus: one color, a band of windows, and a lit destination above the windshield."""
    length, top = dice.uniform(9, 12), dice.uniform(2.9, 3.2)
    hull = Hull(canvas, x, z, 2.5, length)
    body = Paint(color=varied(dice, dice.pick(BUSES), 0.1), label=BUS, grain=0.012)
    dark, glass = body.of(TIRE), body.of(varied(dice, GLASS, 0.3), glow=times(LAMP, 0.35))
    hull.panel(0, 0.3, 1, top, body.shaded(0.85))
    hull.panel(0.03, 1.2, 0.97, 2.4, glass)
    for share in (0.2, 0.4, 0.6, 0.8):
        hull.panel(share, 1.2, share + 0.012, 2.4, body.shaded(0.7))
    hull.panel(0.45, 0.4, 0.53, 2.4, glass.shaded(1.4))
    hull.wheels((0.2, 0.78), 0.46, dark)
    hull.face(0.06, 0, 0.22, 0.4, dark)
    hull.face(0.78, 0, 0.94, 0.4, dark)
    hull.face(0, 0.3, 1, top, body)
    hull.face(0.06, 1.2, 0.94, 2.35, glass)
    hull.face(0.2, 2.48, 0.8, 2.78, body.of(BOARD, glow=(0.95, 0.6, 0.1)))
    hull.face(0, top - 0.1, 1, top, Paint(color=times(body.color, 1.1), label=BUS, up=1.0))
    hull.lamps(0.6, 0.16, away, body)


def tram(canvas: Canvas, x: float, z: float, away: bool, dice: Dice) -> None:
    """Draw a long tram of two colors, with a tapering nose, a skirt in place of wheels, and a pantograph."""
    length, top = dice.uniform(18, 30), dice.uniform(3.2, 3.5)
    hull = Hull(canvas, x, z, 2.4, length)
    upper = Paint(color=varied(dice, dice.pick(TRAMS), 0.1), label=TRAIN, grain=0.012)
    lower = upper.of(varied(dice, dice.pick(((0.15, 0.5, 0.3), (0.1, 0.35, 0.6), (0.2, 0.55, 0.6))), 0.1))
    glass = upper.of(varied(dice, GLASS, 0.3), glow=times(LAMP, 0.45))
    hull.panel(0, 0.15, 1, 1.15, lower.shaded(0.85))
    hull.panel(0, 1.15, 1, top, upper.shaded(0.85))
    hull.panel(0.02, 1.35, 0.98, 2.5, glass)
    for share in (0.16, 0.33, 0.5, 0.67, 0.84):
        hull.panel(share, 0.3, share + 0.03, 2.6, upper.shaded(0.65))
    hull.taper(0.15, 0, 1.3, 0, lower)
    hull.taper(1.25, 0, top, 0.35, upper)
    hull.taper(1.35, 0.12, 2.7, 0.4, glass)
    hull.face(0.3, 2.8, 0.7, 3.02, upper.of(BOARD, glow=(0.95, 0.7, 0.2)))
    hull.taper(top - 0.1, 0.35, top, 0.4, Paint(color=times(upper.color, 1.1), label=TRAIN, up=1.0))
    canvas.box(z + 1, x, top, 0.12, 0.7, lower.of(TIRE))
    canvas.box(z + 1, x, top + 0.65, 1.4, 0.12, lower.of(TIRE))
    hull.lamps(0.7, 0.12, away, lower)
