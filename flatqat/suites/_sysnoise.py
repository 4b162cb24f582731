"""Suites of system noise: the ID images of other suites, prepared by other systems."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flatqat.data.images.encoded import Decode, to_rgb
from flatqat.data.sysnoise import apply
from flatqat.data.sysnoise.names import IN_MEMORY, NAMES, Family
from flatqat.suite import Shift
from flatqat.suites._shifts import Build

if TYPE_CHECKING:
    from flatqat.data.tensors.image_data import ImageData

LoadFiles = Callable[[Path | None, Decode], "ImageData"]

DECODER = "decoder: libjpeg-turbo's fast cosine transform, fast chroma and both; files other than JPEG stay"
RESIZE = (
    "resize: ten filters, three of them not antialiased, computed exactly and rounded once, and the model's "
    "own, cut off"
)
COLOR = (
    "color: to Y'CbCr of 8 bits and back, BT.601 in full range, BT.601 and BT.709 in video range, and NV12"
)
CROP = (
    "crop: the longer side rounded up, the short side a pixel longer, the middle a pixel off to either corner"
)
THERE_AND_BACK = (
    "resize: enlarged by half and shrunk again, by ten filters, three of them not antialiased, computed "
    "exactly and rounded once, and by the bilinear one, cut off"
)
MEAN = "OOD weighs all shifts alike"


def on_disk(load: LoadFiles, names: Iterable[tuple[Family, str]]) -> tuple[Shift, ...]:
    """Return the shift `id` of image files and their system noise, family by family."""

    def build(family: Family, name: str, root: Path | None) -> "ImageData":
        return apply.from_files(partial(load, root), family, name)

    return _shifts(lambda root: load(root, to_rgb), build, names)


def in_memory(clean: Build) -> tuple[Shift, ...]:
    """Return the shift `id` of images in memory and their system noise, family by family."""

    def build(family: Family, name: str, root: Path | None) -> "ImageData":
        return apply.in_memory(clean(root), family, name)

    return _shifts(clean, build, all_names(IN_MEMORY))


def all_names(families: Iterable[Family] = tuple(NAMES)) -> list[tuple[Family, str]]:
    """Return family and name of all noise of some families."""
    return [(family, name) for family in families for name in NAMES[family]]


def _shifts(
    clean: Build,
    build: Callable[[Family, str, Path | None], "ImageData"],
    names: Iterable[tuple[Family, str]],
) -> tuple[Shift, ...]:
    return (
        Shift(name="id", family="id", build=clean),
        *(
            Shift(name=f"{family}/{name}", family=family, build=partial(build, family, name))
            for family, name in names
        ),
    )
