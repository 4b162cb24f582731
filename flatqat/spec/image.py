"""How images are cut and scanned: values of the protocol. Standard library only."""

import re
from dataclasses import dataclass
from typing import Literal

from flatqat.errors import UsageError

IGNORED = 255
"""In a label map, a pixel without a label."""
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalTransform:
    """How a network wants its images cut, in pixels: the short side resized to `resize`, the middle cropped.

    With `squash` both sides are resized to `resize`, whatever the shape. Resizing is antialiased.
    """

    resize: int = 256
    crop: int = 224
    interpolation: Interpolation = "bilinear"
    squash: bool = False

    def __str__(self) -> str:
        size = f"{self.resize}x{self.resize}" if self.squash else f"short side {self.resize}"
        resized = f"resized to {size} ({self.interpolation}, antialiased)"
        whole = self.squash and self.resize == self.crop
        return f"{resized}, no crop" if whole else f"{resized}, centre crop {self.crop}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A window that slides over an image, and its steps, in pixels.

    As text `512x1024:256x512`, or `512:256` where both sides are alike.
    """

    height: int
    width: int
    stride_height: int
    stride_width: int

    def __post_init__(self) -> None:
        steps = ((self.stride_height, self.height), (self.stride_width, self.width))
        if any(not 0 < stride <= size for stride, size in steps):
            raise UsageError(f"window {self}: expected strides from 1 to the window's size")

    def __str__(self) -> str:
        sides = ((self.height, self.width), (self.stride_height, self.stride_width))
        return ":".join(str(h) if h == w else f"{h}x{w}" for h, w in sides)

    @classmethod
    def parse(cls, text: str) -> "Window | None":
        """The inverse of `str`; without strides these are two thirds of the window. `whole` is None."""
        if text == "whole":
            return None
        found = re.fullmatch(r"(\d+)(?:x(\d+))?(?::(\d+)(?:x(\d+))?)?", text)
        if found is None:
            raise UsageError(
                f"--window: expected whole, SIZE or SIZE:STRIDE such as 512x1024:256x512, got {text!r}"
            )
        height, width, down, right = found.groups()
        sides = int(height), int(width or height)
        strides = (int(down), int(right or down)) if down else tuple(max(1, 2 * side // 3) for side in sides)
        return cls(height=sides[0], width=sides[1], stride_height=strides[0], stride_width=strides[1])
