"""Make system noise of images on disk, where they are decoded and cut, or of images in memory."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image as Pillow
from PIL.Image import Image

from flatqat.data.images.encoded import Decode, Pixels, to_rgb
from flatqat.data.images.views import EvalCrop
from flatqat.data.sysnoise.colors import round_trip
from flatqat.data.sysnoise.decoders import decode_fast
from flatqat.data.sysnoise.names import Family
from flatqat.data.sysnoise.resample import resize_truncated, resize_with, there_and_back

if TYPE_CHECKING:
    from torch import Tensor

    from flatqat.data.tensors.image_data import ImageData


def from_files(load: "Callable[[Decode], ImageData]", family: Family, name: str) -> "ImageData":
    """Return images on disk with the noise `name`; `load` lists them, to be decoded by a function.

    Decoders and colors change the image before it is resized, the others the transform of each model.
    """
    if family == "decoder":
        return load(partial(decode_fast, name))
    if family == "color":
        return load(partial(_decode_through, name))
    clean = load(to_rgb)
    through = clean.through_transform
    assert through is not None, "expected images of many sizes"

    def cut(view: Callable[[Image, int], Pixels]) -> "ImageData":
        assert isinstance(view, EvalCrop), "expected the transform of a model"
        return through(_changed(view, family, name))

    return replace(clean, through_transform=cut)


def in_memory(data: "ImageData", family: Family, name: str) -> "ImageData":
    """Return images of one size with the noise `name`, of one of the families `IN_MEMORY`.

    For want of another resolution, those of `resize` are enlarged by half and shrunk again. Label maps stay.
    """
    if family == "color":
        return data.map(partial(_of_batch, partial(round_trip, form=name)), on_cpu=True)
    truncated = name == "truncated"
    noise = partial(there_and_back, name="bilinear" if truncated else name, truncated=truncated)
    return data.map(partial(_of_batch, noise), on_cpu=True)


def _changed(view: EvalCrop, family: Family, name: str) -> EvalCrop:
    if family == "resize":
        return replace(view, resize=resize_truncated if name == "truncated" else partial(resize_with, name))
    changes: dict[str, Callable[[], EvalCrop]] = {
        "longer": lambda: replace(view, whole=ceil),
        "larger": lambda: replace(view, frame=replace(view.frame, resize=view.frame.resize + 1)),
        "up_left": lambda: replace(view, moved=-1),
        "down_right": lambda: replace(view, moved=1),
    }
    return changes[name]()


def _decode_through(form: str, image: Image) -> Image:
    return Pillow.fromarray(round_trip(np.asarray(to_rgb(image)), form))


def _of_batch(noise: Callable[[Pixels], Pixels], images: "Tensor", _: "Tensor") -> "Tensor":
    """Apply noise to uint8 images (B, 3, H, W), on a CPU, wherever they are."""
    import torch

    pixels = noise(images.cpu().permute(0, 2, 3, 1).numpy())
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous().to(images.device)
