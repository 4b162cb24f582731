"""The official photographs of ice for `frost`, if the user has them. Imports no torch.

They are beside `make_imagenet_c.py` in hendrycks/robustness, and flatqat does not ship them. If FLATQAT_FROST
names their folder they are used; otherwise `_ice` makes textures of similar color, contrast and spectrum.
"""

import hashlib
import os
from functools import cache
from pathlib import Path

from flatqat.data.images.encoded import Pixels, decode_file, rgb_pixels
from flatqat.data.images.entries import content_of
from flatqat.errors import DataError, found

VARIABLE = "FLATQAT_FROST"
NAMES = ("frost1.png", "frost2.png", "frost3.png", "frost4.jpg", "frost5.jpg")


def paths() -> tuple[Path, ...]:
    """Return the photographs to use, or none. Raises DataError if one is missing or does not decode."""
    folder = os.environ.get(VARIABLE)
    return _found(Path(folder)) if folder else ()


def decoded(path: Path) -> Pixels:
    """Return the pixels of a photograph, uint8 RGB (H, W, 3). Raises DataError if it does not decode."""
    return decode_file(path, rgb_pixels)


def in_use() -> str:
    """Return `procedural textures`, or `photographs` and eight hex digits of their hash, for the protocol."""
    files = paths()
    return f"photographs {_digest(files)}" if files else "procedural textures"


@cache
def _found(folder: Path) -> tuple[Path, ...]:
    files = tuple(folder / name for name in NAMES)
    missing = [path.name for path in files if found(path) in ("none", "a link to nothing")]
    if missing:
        raise DataError(
            f"{VARIABLE}={folder}: expected a folder with {', '.join(NAMES)}, got no {', '.join(missing)}; "
            "name ImageNet-C/create_c of hendrycks/robustness, or unset the variable"
        )
    try:
        for path in files:
            decoded(path)
    except DataError as error:
        raise DataError(f"{VARIABLE}={folder}: {error}, or unset the variable") from error
    return files


@cache
def _digest(files: tuple[Path, ...]) -> str:
    return hashlib.sha256(b"".join(map(content_of, files))).hexdigest()[:8]
