"""Photographs of ice for `frost`, where a user has the official ones. Standard library only.

They lie beside `make_imagenet_c.py` of hendrycks/robustness, and flatqat does not ship them. Where
FLATQAT_FROST names their folder they are used; otherwise `_ice` makes textures of like colour, contrast and
spectrum.
"""

import hashlib
import os
from functools import cache
from pathlib import Path

from flatqat.errors import DataError

VARIABLE = "FLATQAT_FROST"
NAMES = ("frost1.png", "frost2.png", "frost3.png", "frost4.jpg", "frost5.jpg")


def paths() -> tuple[Path, ...]:
    """The files to use, or none. Raises DataError where one is missing from the folder that was named."""
    folder = os.environ.get(VARIABLE)
    return _found(Path(folder)) if folder else ()


def in_use() -> str:
    """`procedural textures`, or `photographs` and eight hex digits of theirs: for the protocol of a suite."""
    found = paths()
    return f"photographs {_digest(found)}" if found else "procedural textures"


@cache
def _found(folder: Path) -> tuple[Path, ...]:
    found = tuple(folder / name for name in NAMES)
    missing = [path.name for path in found if not path.is_file()]
    if missing:
        raise DataError(
            f"{VARIABLE}={folder}: expected a folder with {', '.join(NAMES)}, got none of the name "
            f"{', '.join(missing)}; name ImageNet-C/create_c of hendrycks/robustness, or unset the variable"
        )
    return found


@cache
def _digest(found: tuple[Path, ...]) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in found)).hexdigest()[:8]
