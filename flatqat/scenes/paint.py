"""What a surface looks like, and what it is."""

from dataclasses import dataclass

from flatqat.scenes.dice import Dice

Colour = tuple[float, float, float]
BLACK: Colour = (0.0, 0.0, 0.0)
LAMP: Colour = (1.0, 0.86, 0.6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Paint:
    """Colour in [0, 1], label, what it emits at night, how far it faces up (snow lies there), and its grain.

    `grain` is the standard deviation of the texture.
    """

    colour: Colour
    label: int
    glow: Colour = BLACK
    up: float = 0.0
    grain: float = 0.015

    def shaded(self, factor: float) -> "Paint":
        return self.of(times(self.colour, factor), self.glow)

    def of(self, colour: Colour, glow: Colour = BLACK) -> "Paint":
        """Another colour of the same thing."""
        return Paint(colour=colour, label=self.label, glow=glow, up=self.up, grain=self.grain)


def times(colour: Colour, factor: float) -> Colour:
    red, green, blue = (value * factor for value in colour)
    return red, green, blue


def varied(dice: Dice, colour: Colour, spread: float = 0.15) -> Colour:
    """Another brightness, by up to `spread`, and a slightly other hue."""
    factor = dice.uniform(1 - spread, 1 + spread)
    red, green, blue = (value * factor + dice.uniform(-0.03, 0.03) for value in colour)
    return max(red, 0.0), max(green, 0.0), max(blue, 0.0)
