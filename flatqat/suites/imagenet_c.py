"""ImageNet and the 19 corruptions of ImageNet-C, read from its official files."""

from pathlib import Path
from typing import TYPE_CHECKING

from flatqat.data.imagenet.names import IMAGENET_C
from flatqat.suites._imagenet_stored import stored

if TYPE_CHECKING:
    from flatqat.data.images.image_data import ImageData


def _corruptible(folder: Path) -> "tuple[ImageData, list[str]]":
    from flatqat.data.imagenet import clean

    return clean.corruptible(folder)


SUITE = stored(
    IMAGENET_C,
    name="imagenet-c",
    about="15 corruptions at 5 severities from the official JPEG files, 4 more aside where they are there",
    normalizer="alexnet",
    corruptible=_corruptible,
)
