"""Images that took the form Y'CbCr of 8 bits on their way, as cameras, videos and hardware decoders have it.

With weights Kr and Kb and Kg = 1 - Kr - Kb, for R'G'B' in [0, 1]:

    Y' = Kr R' + Kg G' + Kb B'      Cb = (B' - Y') / (2 - 2 Kb)      Cr = (R' - Y') / (2 - 2 Kr)

Full range stores 255 Y' and 128 + 255 C, as JPEG does; limited range 16 + 219 Y' and 128 + 224 C, as video
does. Both ways round to the nearest level, halves up. Sources: ITU-R BT.601-7 and BT.709-6, sections 3.2 to
3.5; ITU-T T.871 (JFIF) for the full range.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flatqat.data.images.encoded import Pixels

BITS = 16
HALF = 1 << (BITS - 1)

Levels = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class YCbCr:
    """One way to store colors as Y'CbCr.

    Attributes:
        red: The weight Kr.
        blue: The weight Kb.
        limited: Whether levels leave room at both ends, as in video.
        subsampled: Whether 2x2 pixels share the mean of their chroma, as in NV12 and 4:2:0.
    """

    red: float
    blue: float
    limited: bool = True
    subsampled: bool = False

    def stored(self, pixels: Pixels) -> tuple[Pixels, Pixels]:
        """Return Y' (..., H, W) and CbCr (..., H, W, 2), or half as high and wide if they are subsampled."""
        luma, chroma = self._sizes
        green = 1 - self.red - self.blue
        weights = np.array([self.red, green, self.blue])
        blue, red = ((np.eye(3)[place] - weights) / (2 - 2 * weights[place]) for place in (2, 0))
        matrix = _fixed(np.array([luma * weights, chroma * blue, chroma * red]) / 255)
        levels = _times(matrix, pixels.astype(np.int64))
        colors = _means_of_four(levels[..., 1:]) if self.subsampled else levels[..., 1:]
        return _rounded(levels[..., 0] + (self._black << BITS)), _rounded(colors + (128 << BITS))

    def shown(self, luma: Pixels, chroma: Pixels) -> Pixels:
        """Return what `stored` gave as RGB (..., H, W, 3)."""
        height, width = luma.shape[-2:]
        if self.subsampled:
            chroma = chroma.repeat(2, axis=-3).repeat(2, axis=-2)[..., :height, :width, :]
        of_luma, of_chroma = (255 / size for size in self._sizes)
        of_blue, of_red = 2 - 2 * self.blue, 2 - 2 * self.red
        green = 1 - self.red - self.blue
        matrix = np.array(
            [
                [of_luma, 0, of_chroma * of_red],
                [of_luma, -of_chroma * self.blue / green * of_blue, -of_chroma * self.red / green * of_red],
                [of_luma, of_chroma * of_blue, 0],
            ]
        )
        centered = np.concatenate(
            [luma[..., None].astype(np.int64) - self._black, chroma - np.int64(128)], -1
        )
        return _rounded(_times(_fixed(matrix), centered))

    @property
    def _sizes(self) -> tuple[int, int]:
        """By how many levels Y' and chroma differ at most."""
        return (219, 224) if self.limited else (255, 255)

    @property
    def _black(self) -> int:
        return 16 if self.limited else 0


FORMS: Mapping[str, YCbCr] = {
    "bt601_full": YCbCr(red=0.299, blue=0.114, limited=False),
    "bt601": YCbCr(red=0.299, blue=0.114),
    "bt709": YCbCr(red=0.2126, blue=0.0722),
    "nv12": YCbCr(red=0.299, blue=0.114, subsampled=True),
}


def round_trip(pixels: Pixels, form: str) -> Pixels:
    """Return RGB images that were stored in one of `FORMS`, uint8 (..., H, W, 3)."""
    return FORMS[form].shown(*FORMS[form].stored(pixels))


def _fixed(matrix: NDArray[np.float64]) -> Levels:
    return np.rint(matrix * (1 << BITS)).astype(np.int64)


def _times(matrix: Levels, channels: Levels) -> Levels:
    """Return a matrix (3, 3) times each pixel (..., 3), in units of 2^-BITS."""
    return np.stack([sum(w * channels[..., i] for i, w in enumerate(row) if w) for row in matrix], -1)


def _means_of_four(channels: Levels) -> Levels:
    """Average blocks of 2x2 pixels (..., H, W, C); where a side is odd its last pixel counts twice."""
    *many, height, width, count = channels.shape
    room = [(0, 0)] * len(many) + [(0, height % 2), (0, width % 2), (0, 0)]
    padded = np.pad(channels, room, mode="edge")
    blocks = padded.reshape(*many, (height + 1) // 2, 2, (width + 1) // 2, 2, count)
    means: Levels = (blocks.sum((-4, -2)) + 2) >> 2
    return means


def _rounded(levels: Levels) -> Pixels:
    return ((levels + HALF) >> BITS).clip(0, 255).astype(np.uint8)
