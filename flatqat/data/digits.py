"""The 1,797 handwritten digits that ship with scikit-learn, as color images.

Digits are 8x8 with values 0 to 16. They are enlarged four times by bilinear interpolation (half-pixel
centers, edges repeated), multiplied by 255/16, rounded half to even, and repeated in red, green and blue. All
of it is exact in float32. Source: Alpaydin & Kaynak 1998, the test part of optdigits.
"""

import gzip
import zlib
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from flatqat.errors import DataError

if TYPE_CHECKING:
    from flatqat.data.tensors.image_data import ImageData

Part = Literal["train", "val", "test"]

CLASSES = 10
COUNT = 1797
PARTS: dict[Part, slice] = {"train": slice(0, 1100), "val": slice(1100, 1497), "test": slice(1497, COUNT)}
FILE = "datasets/data/digits.csv.gz"
SPLIT_SEED = 0
SCALE = 4


def load(part: Part) -> "ImageData":
    """Load one part of a fixed permutation; ids are positions in scikit-learn's order."""
    import torch

    data = _all()
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(SPLIT_SEED))
    return data.subset(order[PARTS[part]])


def describe() -> str:
    """Describe the digits in words. Raises DataError as `read` does."""
    return f"scikit-learn's digits: {len(read()[0]):,} images of 8x8"


def read() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return images (1797, 8, 8), 0 to 16, and labels (1797,). Raises DataError if they are damaged.

    The file is read without scikit-learn itself, whose import takes over a second.
    """
    try:
        with gzip.open(_folder() / FILE, "rt") as file:
            rows = np.loadtxt(file, delimiter=",", ndmin=2)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"scikit-learn's digits do not load ({error}); reinstall scikit-learn") from error
    images, labels = rows[:, :-1], rows[:, -1].astype(np.int64)
    if images.shape != (COUNT, 64) or (images.min(), images.max()) != (0, 16):
        expected = f"{COUNT} rows of 64 values from 0 to 16"
        got = f"shape {images.shape} from {images.min():g} to {images.max():g}"
        raise DataError(f"scikit-learn's digits: expected {expected}, got {got}; reinstall scikit-learn")
    return images.reshape(COUNT, 8, 8), labels


def _folder() -> Path:
    """Return where scikit-learn is installed."""
    found = find_spec("sklearn")
    if found is None or found.origin is None:
        raise DataError("expected scikit-learn, which the digits ship with, found none; reinstall flatqat")
    return Path(found.origin).parent


@lru_cache(maxsize=1)
def _all() -> "ImageData":
    import torch
    from torch.nn import functional as F

    from flatqat.data.tensors.image_data import ImageData

    images, labels = read()
    small = torch.from_numpy(images).float()[:, None]
    large = F.interpolate(small, scale_factor=SCALE, mode="bilinear", align_corners=False)
    rgb = (large * 255 / 16).round().to(torch.uint8).expand(-1, 3, -1, -1)
    return ImageData.in_memory(rgb, torch.from_numpy(labels), classes=CLASSES, source="scikit-learn's digits")
