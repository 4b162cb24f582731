"""Fog: light is scattered out of every ray, and daylight scattered into it.

    I = J t + A (1 - t),    t = exp(-beta d)

with the clear image J, depth d, and airlight A. Source: Koschmieder 1924; synthetic fog on Cityscapes is made
in the same way (Sakaridis et al., IJCV 2018). Visibility, where t is 5%, is 3 / beta.
"""

import numpy as np

from flatqat.scenes.dice import Dice
from flatqat.scenes.scene import VERSION, Scene
from flatqat.scenes.smooth import Map, decay

FOG = 1
VISIBILITIES = (60.0, 200.0)  # metres
AIRLIGHTS = (0.68, 0.84)


def fog(scene: Scene) -> Map:
    """Return the scene in fog, with a density and a tone of its own."""
    dice = Dice(VERSION, scene.number, FOG)
    beta = 3 / dice.uniform(*VISIBILITIES)
    airlight = dice.uniform(*AIRLIGHTS) * np.array([0.985, 1.0, 1.01])
    return veiled(scene.colors, scene.depth, beta, airlight)


def veiled(clear: Map, depth: Map, beta: float, airlight: Map) -> Map:
    """Return colors (H, W, 3) behind fog, with `depth` (H, W) in metres and `beta` in 1 / metre."""
    transmission = decay(beta * depth)[..., None]
    return clear * transmission + airlight * (1 - transmission)
