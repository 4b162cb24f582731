"""The official photographs of ice for `frost`, if the user has them. Imports the standard library only.

They are beside `make_imagenet_c.py` in hendrycks/robustness, and flatqat does not ship them. If FLATQAT_FROST
names their folder they are used; otherwise `_ice` makes textures of similar color, contrast and spectrum.
"""

import hashlib
import os
from functools import cache
from pathlib import Path

from flatqat.errors import DataError

VARIABLE = "FLATQAT_FROST"
NAMES = ("frost1.png", "frost2.png", "frost3.png", "frost4.jpg", "frost5.jpg")


def paths() -> tuple[Path, ...]:
    """Return the photographs to use, or none. Raises DataError if one is missing from the named folder."""
    folder = os.environ.get(VARIABLE)
    return _found(Path(folder)) if folder else ()


def in_use() -> str:
    """Return `procedural textures`, or `photographs` and eight hex digits of their hash, for the protocol."""
    files = paths()
    return f"photographs {_digest(files)}" if files else "procedural textures"


@cache
def _found(folder: Path) -> tuple[Path, ...]:
    files = tuple(folder / name for name in NAMES)
    missing = [path.name for path in files if not path.is_file()]
    if missing:
        raise DataError(
            f"{VARIABLE}={folder}: expected a folder with {', '.join(NAMES)}, got no {', '.join(missing)}; "
            "name ImageNet-C/create_c of hendrycks/robustness, or unset the variable"
        )
    return files


@cache
def _digest(files: tuple[Path, ...]) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:8]
