"""A colour for every class of a segmentation suite, and label maps as pictures.

The colours of Cityscapes for its classes, and for those of other sets that mean the same.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]

IGNORED_COLOUR: Colour = (0, 0, 0)
COLOURS: dict[str, Colour] = {
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
ALIKE = {
    "pavement": "sidewalk",
    "tree": "vegetation",
    "sign": "traffic sign",
    "signsymbol": "traffic sign",
    "pedestrian": "person",
    "bicyclist": "rider",
}


def palette(names: Sequence[str]) -> list[Colour]:
    """A colour a class; classes that no table knows get colours of `tab20`."""
    from matplotlib import colormaps

    spare = [tuple(int(255 * part) for part in rgb) for rgb in colormaps["tab20"].colors]  # type: ignore[attr-defined]
    found: list[Colour] = []
    for at, name in enumerate(names):
        known = name.lower().replace("_", " ")
        r, g, b = COLOURS.get(ALIKE.get(known, known), spare[at % len(spare)])
        found.append((r, g, b))
    return found


def painted(labels: NDArray[Any], colours: Sequence[Colour]) -> NDArray[np.uint8]:
    """A label map (H, W) as RGB (H, W, 3); values that are no class are black."""
    table = np.full((256, 3), IGNORED_COLOUR, dtype=np.uint8)
    table[: len(colours)] = colours
    painted: NDArray[np.uint8] = table[labels.astype(np.uint8)]
    return painted
