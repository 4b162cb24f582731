"""The names of system noise, by family, in the order of tables. Imports the standard library only."""

from typing import Literal

Family = Literal["decoder", "resize", "color", "crop"]

NAMES: dict[Family, tuple[str, ...]] = {
    "decoder": ("fast_dct", "fast_chroma", "fast_both"),
    "resize": (
        "nearest", "box", "area", "bilinear", "hamming", "bicubic", "lanczos",
        "bilinear_aliased", "bicubic_aliased", "lanczos_aliased", "truncated",
    ),
    "color": ("bt601_full", "bt601", "bt709", "nv12"),
    "crop": ("longer", "larger", "up_left", "down_right"),
}  # fmt: skip
IN_MEMORY: tuple[Family, ...] = ("resize", "color")
"""The families that images in memory, which have no file and are used whole, can suffer."""
