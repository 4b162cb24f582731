"""The parts of the rendered dataset, as images with label maps; rendered scenes are kept in memory."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL.Image import fromarray

from flatqat.data.images.encoded import Pixels
from flatqat.scenes.fog import fog
from flatqat.scenes.night import night
from flatqat.scenes.rain import rain
from flatqat.scenes.scene import Scene, scene
from flatqat.scenes.smooth import Map
from flatqat.scenes.snow import snow

if TYPE_CHECKING:
    from torch import Tensor

    from flatqat.data.tensors.image_data import ImageData, Transform

Part = Literal["train", "val", "test"]

PARTS: dict[Part, range] = {"train": range(400), "val": range(1000, 1060), "test": range(2000, 2100)}
"""Numbers of scenes."""


def clear(scene: Scene) -> Map:
    """Return the scene in clear weather."""
    return scene.colors


WEATHERS: dict[str, Callable[[Scene], Map]] = {
    "clear": clear, "fog": fog, "night": night, "rain": rain, "snow": snow
}  # fmt: skip


def load(_: Path | None, *, part: Part, weather: str = "clear") -> "ImageData":
    """Load a part in one weather; ids are scene numbers, and the training part takes a transform."""
    import torch

    from flatqat.data.tensors.image_data import ImageData

    ids = torch.tensor(PARTS[part])

    def fetch(index: "Tensor") -> "Tensor":
        return torch.stack([torch.from_numpy(pixels(number)[weather]) for number in ids[index].tolist()])

    def through(view: "Transform") -> "ImageData":
        def seen(index: "Tensor") -> "Tensor":
            numbers = ids[index].tolist()
            views = [view(fromarray(pixels(n)[weather].transpose(1, 2, 0).copy()), n) for n in numbers]
            return torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2).contiguous()

        return ImageData(labels=None, ids=ids, fetch=seen)

    transformed = through if part == "train" else None
    return ImageData(labels=None, ids=ids, fetch=fetch, through_transform=transformed)


@lru_cache(maxsize=1024)
def pixels(number: int) -> dict[str, Pixels]:
    """Render a scene as uint8 (4, HEIGHT, WIDTH), colors and label map; a test scene in all weathers."""
    rendered = scene(number)
    weathers = WEATHERS if number in PARTS["test"] else ("clear",)
    return {weather: rounded(WEATHERS[weather](rendered), rendered.labels) for weather in weathers}


def rounded(colors: Map, labels: Pixels) -> Pixels:
    """Round colors in [0, 1] to 256 levels, half up, and append the label map as fourth channel."""
    levels = np.floor(np.clip(colors, 0, 1) * 255 + 0.5).astype(np.uint8)
    return np.concatenate([levels, labels[..., None]], axis=-1).transpose(2, 0, 1).copy()
