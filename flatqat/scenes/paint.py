"""What a surface looks like, and its class."""

from dataclasses import dataclass

from flatqat.scenes.dice import Dice

Color = tuple[float, float, float]
BLACK: Color = (0.0, 0.0, 0.0)
LAMP: Color = (1.0, 0.86, 0.6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Paint:
    """The appearance of a surface.

    Attributes:
        color: RGB in [0, 1].
        label: The class, or IGNORED.
        glow: The light that it emits at night.
        up: How far it faces up, so that snow settles on it.
        grain: The standard deviation of its texture.
    """

    color: Color
    label: int
    glow: Color = BLACK
    up: float = 0.0
    grain: float = 0.015

    def shaded(self, factor: float) -> "Paint":
        """Return the same paint, brighter or darker by a factor."""
        return self.of(times(self.color, factor), self.glow)

    def of(self, color: Color, glow: Color = BLACK) -> "Paint":
        """Return the same paint in another color."""
        return Paint(color=color, label=self.label, glow=glow, up=self.up, grain=self.grain)


def times(color: Color, factor: float) -> Color:
    """Return a color multiplied by a factor."""
    red, green, blue = (value * factor for value in color)
    return red, green, blue


def varied(dice: Dice, color: Color, spread: float = 0.15) -> Color:
    """Return a color with another brightness, by up to `spread`, and a slightly different hue."""
    factor = dice.uniform(1 - spread, 1 + spread)
    red, green, blue = (value * factor + dice.uniform(-0.03, 0.03) for value in color)
    return max(red, 0.0), max(green, 0.0), max(blue, 0.0)
