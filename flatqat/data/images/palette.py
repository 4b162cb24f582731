"""A color for every class of a segmentation suite, and label maps as pictures.

The colors are those of Cityscapes for its classes, and for classes of other datasets that mean the same.
"""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Color = tuple[int, int, int]

IGNORED_COLOR: Color = (0, 0, 0)
COLORS: dict[str, Color] = {
    "road": (128, 64, 128),
    "sidewalk": (244, 35, 232),
    "building": (70, 70, 70),
    "wall": (102, 102, 156),
    "fence": (190, 153, 153),
    "pole": (153, 153, 153),
    "traffic light": (250, 170, 30),
    "traffic sign": (220, 220, 0),
    "vegetation": (107, 142, 35),
    "terrain": (152, 251, 152),
    "sky": (70, 130, 180),
    "person": (220, 20, 60),
    "rider": (255, 0, 0),
    "car": (0, 0, 142),
    "truck": (0, 0, 70),
    "bus": (0, 60, 100),
    "train": (0, 80, 100),
    "motorcycle": (0, 0, 230),
    "bicycle": (119, 11, 32),
}
SYNONYMS = {
    "pavement": "sidewalk",
    "tree": "vegetation",
    "sign": "traffic sign",
    "signsymbol": "traffic sign",
    "pedestrian": "person",
    "bicyclist": "rider",
}
SPARE: tuple[Color, ...] = (
    (31, 119, 180), (174, 199, 232), (255, 127, 14), (255, 187, 120), (44, 160, 44),
    (152, 223, 138), (214, 39, 40), (255, 152, 150), (148, 103, 189), (197, 176, 213),
    (140, 86, 75), (196, 156, 148), (227, 119, 194), (247, 182, 210), (127, 127, 127),
    (199, 199, 199), (188, 189, 34), (219, 219, 141), (23, 190, 207), (158, 218, 229),
)  # fmt: skip
"""For classes without a color of their own: `tab20` of matplotlib."""


def palette(names: Sequence[str]) -> list[Color]:
    """Return a color for each class; classes without a color of their own get one of `SPARE`."""
    plain = [name.lower().replace("_", " ") for name in names]
    return [COLORS.get(SYNONYMS.get(n, n), SPARE[i % len(SPARE)]) for i, n in enumerate(plain)]


def painted(labels: NDArray[Any], colors: Sequence[Color]) -> NDArray[np.uint8]:
    """Return a label map (H, W) as an RGB picture (H, W, 3); values that are no class are black."""
    table = np.full((256, 3), IGNORED_COLOR, dtype=np.uint8)
    table[: len(colors)] = colors
    painted: NDArray[np.uint8] = table[labels.astype(np.uint8)]
    return painted


def as_png(labels: NDArray[np.uint8], colors: Sequence[Color]) -> bytes:
    """Return a label map (H, W) as PNG: what `painted` returns, with the colors that occur as palette."""
    from PIL import Image

    values, places = np.unique(labels, return_inverse=True)
    image = Image.fromarray(places.reshape(labels.shape).astype(np.uint8)).convert("P")
    image.putpalette(painted(values, colors).tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
