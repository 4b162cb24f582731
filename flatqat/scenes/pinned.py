"""The hashes of some scenes in all weathers: does this machine render the pixels of this version?"""

import hashlib

from flatqat.errors import DataError
from flatqat.scenes.load import PARTS, pixels

PINNED = {0: "852ebbc6591b", 1000: "57bf228f6327", 2000: "51960348b052", 2050: "cb894e18a78d"}


def check() -> str:
    """Describe the scenes in words. Raises DataError if a scene has other pixels."""
    for number, expected in PINNED.items():
        if (got := digest(number)) != expected:
            raise DataError(
                f"scene {number}: expected pixels that hash to {expected}, got {got}; reinstall flatqat and "
                "NumPy, and do not compare results of this machine with those of others"
            )
    return f"{sum(len(part) for part in PARTS.values())} street scenes, rendered on demand"


def digest(number: int) -> str:
    """Return twelve hex digits of the SHA-256 of a scene's pixels in its weathers."""
    images = pixels(number)
    return hashlib.sha256(b"".join(images[weather].tobytes() for weather in sorted(images))).hexdigest()[:12]
