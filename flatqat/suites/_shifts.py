"""Shifts of images that no other shift contains."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from flatqat.suite import Shift

if TYPE_CHECKING:
    from flatqat.data.images.image_data import ImageData


def own_images(name: str, build: "Callable[[Path | None], ImageData]", *, in_mean: bool = True) -> Shift:
    """Return the shift `name` with a family and an image set of the same name."""
    return Shift(name=name, family=name, build=build, image_set=name, in_mean=in_mean)
