"""Night: little and cool light from the sky, warm light from lamps, and a noisy sensor.

The scene is lit by what is left of the day, by the car's own headlights (falling off with the squared
distance and to the sides), and by a warm pool under street lamps. Lamps, windows and displays shine with a
halo. The sensor adds noise of variance gain x + read^2, the Poisson-Gaussian model (Foi et al., TIP 2008).
"""

import numpy as np

from flatqat.scenes.classes import SKY
from flatqat.scenes.dice import Dice
from flatqat.scenes.scene import VERSION, Scene
from flatqat.scenes.size import HEIGHT, WIDTH
from flatqat.scenes.smooth import Map, blurred, decay

NIGHT = 2
MOON = np.array([0.85, 0.95, 1.12])
WARM = np.array([1.1, 0.95, 0.7])
REACH = 9.0  # metres at which the headlights' light has fallen to half


def night(scene: Scene) -> Map:
    """Return the scene at night."""
    dice = Dice(VERSION, scene.number, NIGHT)
    ambient, beam, lamps = dice.uniform(0.25, 0.5), dice.uniform(0.5, 1.0), dice.uniform(0.05, 0.2)
    row = np.arange(HEIGHT)[:, None] + 0.5 - scene.horizon
    column = (np.arange(WIDTH) + 0.5) / WIDTH - 0.5
    cone = np.clip(1.1 - 2.2 * column * column - np.abs(row - 16) / 60, 0, 1)
    own = beam * cone / (1 + (scene.depth / REACH) ** 2)
    street = lamps * decay(scene.depth / 60)
    light = ambient * MOON + own[..., None] + street[..., None] * WARM
    dark = scene.colors * light
    downward = (1 + np.clip(row / HEIGHT + 0.3, 0, 1))[..., None]
    sky = dice.uniform(0.01, 0.05) * np.array([0.9, 0.9, 1.15]) * downward
    dark = np.where((scene.labels == SKY)[..., None], sky, dark)
    shining = dark + scene.glow + 0.55 * blurred(scene.glow, 2) + 0.45 * blurred(scene.glow, 7)
    shining = shining / (1 + 0.25 * shining)  # highlights are compressed
    gain, read = dice.uniform(0.001, 0.004), dice.uniform(0.008, 0.025)
    return shining + np.sqrt(gain * shining + read * read) * dice.normals(HEIGHT, WIDTH, 3)
