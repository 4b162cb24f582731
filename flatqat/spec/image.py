"""How images are cropped and scanned: frozen values. Standard library only."""

import re
from dataclasses import dataclass, replace
from typing import Literal

from flatqat.errors import UsageError

IGNORED = 255
"""The value of a pixel without a label in a label map."""
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalTransform:
    """How images are prepared for a network: the short side is resized, then the center is cropped.

    Attributes:
        resize: The length of the short side, in pixels.
        crop: The side of the square crop, in pixels.
        interpolation: The filter of the resizing, which is antialiased.
        squash: Whether both sides are resized to `resize`, whatever the shape of the image.
    """

    resize: int = 256
    crop: int = 224
    interpolation: Interpolation = "bilinear"
    squash: bool = False

    def scaled(self, crop: int) -> "EvalTransform":
        """Return the transform to crops of another size, which show the same part of an image."""
        return replace(self, resize=round(self.resize * crop / self.crop), crop=crop)

    def __str__(self) -> str:
        size = f"{self.resize}x{self.resize}" if self.squash else f"short side {self.resize}"
        resized = f"resized to {size} ({self.interpolation}, antialiased)"
        uncropped = self.squash and self.resize == self.crop
        return f"{resized}, no crop" if uncropped else f"{resized}, centre crop {self.crop}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A window that slides over an image. Its text form is `512x1024:256x512`, or `512:256` if square.

    Attributes:
        height: Of the window, in pixels.
        width: Of the window, in pixels.
        stride_height: The step down, in pixels.
        stride_width: The step to the right, in pixels.
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
        """Return the window of a text form, None for `whole`. Raises UsageError.

        Strides that are not given are two thirds of the window.
        """
        if text == "whole":
            return None
        match = re.fullmatch(r"(\d+)(?:x(\d+))?(?::(\d+)(?:x(\d+))?)?", text, re.ASCII)
        if match is None:
            raise UsageError(
                f"--window: expected whole, SIZE or SIZE:STRIDE such as 512x1024:256x512, got {text!r}"
            )
        height, width, down, right = match.groups()
        sides = int(height), int(width or height)
        strides = (int(down), int(right or down)) if down else tuple(max(1, 2 * side // 3) for side in sides)
        return cls(height=sides[0], width=sides[1], stride_height=strides[0], stride_width=strides[1])
