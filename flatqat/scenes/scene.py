"""One street scene in clear weather: colors, labels, depth, and what its weathers need.

Everything is rendered at twice the size. Colors are the mean of four samples. Label and depth are those of
one of the four: of the label that most of them show, or of the one drawn last if two labels tie.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flatqat.scenes.camera import Camera
from flatqat.scenes.canvas import Canvas
from flatqat.scenes.dice import Dice
from flatqat.scenes.ground import lay
from flatqat.scenes.paint import Paint, times
from flatqat.scenes.sides import line, skyline
from flatqat.scenes.size import HEIGHT, WIDTH
from flatqat.scenes.smooth import Map, blotches, decay
from flatqat.scenes.street import plan
from flatqat.scenes.traffic import fill
from flatqat.scenes.vehicles import BODIES
from flatqat.spec import IGNORED

VERSION = 1
SAMPLES = 2  # along each side of a pixel
HAZE = 500.0  # metres at which clear air has taken 63% of a color
Surfaces = NDArray[np.int16]
SKIES = (
    ((0.86, 0.9, 0.95), (0.5, 0.68, 0.92)), ((0.92, 0.93, 0.94), (0.66, 0.78, 0.93)),
    ((0.9, 0.9, 0.91), (0.82, 0.84, 0.87)), ((0.95, 0.92, 0.86), (0.62, 0.75, 0.9)),
)  # fmt: skip
"""Colors at the horizon and at the zenith."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One street scene: arrays of (HEIGHT, WIDTH), or (HEIGHT, WIDTH, 3) for colors in [0, 1].

    Attributes:
        number: The number from which the scene is made.
        colors: Colors in clear weather.
        labels: Train ids.
        depth: Depth in metres along the camera's axis, infinite for the sky.
        glow: The light that surfaces emit at night.
        up: How much surfaces face the sky.
        horizon: The row of the horizon.
    """

    number: int
    colors: Map
    labels: NDArray[np.uint8]
    depth: Map
    glow: Map
    up: Map
    horizon: float


def scene(number: int) -> Scene:
    """Render the scene `number`, which is the same on every machine."""
    dice = Dice(VERSION, number)
    size = WIDTH * SAMPLES
    camera = Camera(
        width=size,
        height=HEIGHT * SAMPLES,
        focal=size * dice.uniform(0.85, 1.2),
        center=size * dice.uniform(0.38, 0.62),
        horizon=HEIGHT * SAMPLES * dice.uniform(0.36, 0.5),
        above=dice.uniform(1.2, 1.6),
    )
    canvas, street = Canvas(camera), plan(dice)
    skyline(canvas, dice)
    lay(canvas, street, dice)
    bright = dice.uniform(0.85, 1.0), dice.uniform(0.6, 0.95)
    lights = bright if dice.chance(0.5) else bright[::-1]
    for side in (0, 1):
        line(canvas, street, side, lights[side], dice)
    fill(canvas, street, dice)
    _hood(canvas, dice)
    return _developed(canvas, number, dice)


def _hood(canvas: Canvas, dice: Dice) -> None:
    """Draw the hood of the camera's own car at the lower edge of most scenes; it is not scored."""
    if dice.chance(0.2):
        return
    camera = canvas.camera
    paint = Paint(color=times(dice.pick(BODIES), 0.7), label=IGNORED, grain=0.01)
    u, v = camera.width * dice.uniform(0.45, 0.55), float(camera.height)
    across, up = camera.width * dice.uniform(0.45, 0.7), camera.height * dice.uniform(0.04, 0.11)
    plane = camera.front(1.5)
    canvas.ellipse(u, v, across, up, plane, paint)
    canvas.ellipse(u, v + 0.35 * up, 0.9 * across, up, plane, paint.shaded(1.35))


def _developed(canvas: Canvas, number: int, dice: Dice) -> Scene:
    samples = np.stack([canvas.surfaces[i::SAMPLES, j::SAMPLES] for i in (0, 1) for j in (0, 1)])
    paints = canvas.paints
    labels = np.array([paint.label for paint in paints], np.uint8)
    surface, depth = _chosen(np.array(canvas.planes), samples, labels)
    clear = _mean(np.array([paint.color for paint in paints]), samples)
    share = (samples == 0).sum(axis=0) / len(samples)  # of sky
    horizon = canvas.camera.horizon / SAMPLES
    sky, far = _sky(horizon, dice)
    clear += share[..., None] * sky
    clear = far + (clear - far) * decay(np.minimum(depth, 150.0) / HAZE)[..., None]
    grain = np.array([paint.grain for paint in paints])[surface]
    texture = 0.7 * dice.normals(HEIGHT, WIDTH) + 0.8 * blotches(dice, HEIGHT, WIDTH, 4)
    clear += (grain * texture)[..., None]
    exposure, warmth = dice.uniform(0.9, 1.12), dice.uniform(-0.035, 0.035)
    clear *= exposure * np.array([1 + warmth, 1.0, 1 - warmth])
    return Scene(
        number=number,
        colors=np.clip(clear, 0, 1),
        labels=labels[surface],
        depth=depth,
        glow=_mean(np.array([paint.glow for paint in paints]), samples),
        up=np.array([paint.up for paint in paints])[surface],
        horizon=horizon,
    )


def _sky(horizon: float, dice: Dice) -> tuple[Map, Map]:
    """Return a sky (HEIGHT, WIDTH, 3), and its color at the horizon, which distant things fade to."""
    low, high = (np.array(color) for color in dice.pick(SKIES))
    rise = np.clip((horizon - np.arange(HEIGHT)[:, None] - 0.5) / horizon, 0, 1)
    cover = dice.uniform(-1.5, 1.0)
    field = blotches(dice, HEIGHT, WIDTH, 24) + 0.5 * blotches(dice, HEIGHT, WIDTH, 8)
    clouds = np.clip((field + cover) * 0.6, 0, 1)
    sky = low + (high - low) * rise[..., None]
    sky = sky + (0.95 - sky) * (clouds * (0.3 + 0.7 * rise))[..., None] * 0.8
    return sky, low


def _chosen(planes: Map, samples: Surfaces, labels: NDArray[np.uint8]) -> tuple[Surfaces, Map]:
    """Return the surface that stands for each pixel, and its depth."""
    sample_labels = labels[samples]
    votes = (sample_labels[:, None] == sample_labels[None]).sum(axis=1)
    best = (votes * (len(labels) + 1) + samples).argmax(axis=0)
    surface = np.take_along_axis(samples, best[None], axis=0)[0]
    a, b, c = planes.T[:, surface]
    row, column = np.arange(HEIGHT)[:, None] * SAMPLES, np.arange(WIDTH) * SAMPLES
    inverse = a * (column + best % SAMPLES + 0.5) + b * (row + best // SAMPLES + 0.5) + c
    depth = np.full(surface.shape, np.inf)
    np.divide(1.0, inverse, out=depth, where=surface > 0)
    return surface, depth


def _mean(table: Map, samples: Surfaces) -> Map:
    first, second, third, fourth = (table.take(part, axis=0) for part in samples)
    mean: Map = (first + second + third + fourth) / len(samples)
    return mean
