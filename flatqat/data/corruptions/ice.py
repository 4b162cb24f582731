"""Which pictures of ice `frost` lays over an image. Standard library only.

The original takes photographs that flatqat does not ship: `frost1.png` to `frost5.jpg` beside
`make_imagenet_c.py` of hendrycks/robustness. Where FLATQAT_FROST names their folder they are used;
otherwise five procedural textures of like colour, contrast and spectrum.
"""

import hashlib
import os
from functools import cache
from pathlib import Path

from flatqat.errors import DataError

VARIABLE = "FLATQAT_FROST"
PHOTOGRAPHS = ("frost1.png", "frost2.png", "frost3.png", "frost4.jpg", "frost5.jpg")


def photographs() -> tuple[Path, ...]:
    """The files to use, or none of them. Raises DataError where the folder that was named lacks one."""
    folder = os.environ.get(VARIABLE)
    return _found(Path(folder)) if folder else ()


def in_use() -> str:
    """`procedural`, or `photographs` and eight hex digits of theirs: for the protocol of a suite."""
    paths = photographs()
    return f"photographs {_digest(paths)}" if paths else "procedural"


@cache
def _found(folder: Path) -> tuple[Path, ...]:
    paths = tuple(folder / name for name in PHOTOGRAPHS)
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise DataError(
            f"{VARIABLE}={folder}: expected a folder with {', '.join(PHOTOGRAPHS)}, got none of the name "
            f"{', '.join(missing)}; name the folder ImageNet-C/create_c of hendrycks/robustness, or unset it"
        )
    return paths


@cache
def _digest(paths: tuple[Path, ...]) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:8]
