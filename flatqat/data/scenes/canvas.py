"""A painter's canvas: surfaces drawn from far to near, each sample remembers the last one that covered it.

Corners are rounded to 1/16 of a sample and coverage is decided in integers at the samples' middles, so the
same surface covers the same samples on every machine.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

import numpy as np
from numpy.typing import NDArray

from flatqat.data.scenes.camera import SKY_PLANE, Camera, Plane, Point
from flatqat.data.scenes.classes import SKY
from flatqat.data.scenes.paint import BLACK, Paint

PARTS = 16  # of a sample


@dataclass(frozen=True, slots=True)
class Region:
    """The samples that a surface covers: `mask` within the rows and columns of its bounding box."""

    top: int
    left: int
    mask: NDArray[np.bool_]

    @property
    def window(self) -> tuple[slice, slice]:
        height, width = self.mask.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)

    @property
    def rows(self) -> NDArray[np.float64]:
        """The samples' middles, as a column."""
        return self.top + 0.5 + np.arange(self.mask.shape[0], dtype=np.float64)[:, None]

    @property
    def columns(self) -> NDArray[np.float64]:
        return self.left + 0.5 + np.arange(self.mask.shape[1], dtype=np.float64)


NOWHERE = Region(0, 0, np.zeros((0, 0), bool))


class Canvas:
    """`surfaces` (height, width) holds numbers of `paints` and `planes`; 0 is the sky."""

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self.surfaces = np.zeros((camera.height, camera.width), np.int16)
        self.paints = [Paint(colour=BLACK, label=SKY, grain=0.0)]
        self.planes = [SKY_PLANE]

    def front(self, z: float, corners: Sequence[Point], paint: Paint) -> Region:
        """A convex polygon of corners (x, y) that faces the camera."""
        at = self.camera.at
        return self.polygon([at(x, y, z) for x, y in corners], self.camera.front(z), paint)

    def side(self, x: float, corners: Sequence[Point], paint: Paint) -> Region:
        """A convex polygon of corners (z, y) along the street."""
        at = self.camera.at
        return self.polygon([at(x, y, z) for z, y in corners], self.camera.side(x), paint)

    def floor(self, corners: Sequence[Point], paint: Paint, y: float = 0.0) -> Region:
        """A convex polygon of corners (x, z) on the ground, or level at height y."""
        at = self.camera.at
        return self.polygon([at(x, y, z) for x, z in corners], self.camera.floor(y), paint)

    def box(self, z: float, x: float, y: float, width: float, height: float, paint: Paint) -> Region:
        """A rectangle that faces the camera: x is its middle, y its foot."""
        low, high = x - width / 2, x + width / 2
        return self.front(z, [(low, y), (high, y), (high, y + height), (low, y + height)], paint)

    def disc(self, z: float, x: float, y: float, across: float, up: float, paint: Paint) -> Region:
        """An ellipse that faces the camera, with its two radii in metres."""
        u, v = self.camera.at(x, y, z)
        scale = self.camera.focal / z
        return self.ellipse(u, v, across * scale, up * scale, self.camera.front(z), paint)

    def wheel(self, x: float, z: float, radius: float, paint: Paint) -> Region:
        """A disc on the ground in the plane along the street."""
        u, v = self.camera.at(x, radius, z)
        across = abs(self.camera.column(x, z - radius) - self.camera.column(x, z + radius)) / 2
        return self.ellipse(u, v, across, self.camera.focal * radius / z, self.camera.side(x), paint)

    def polygon(self, points: Sequence[Point], plane: Plane, paint: Paint) -> Region:
        corners = [(floor(u * PARTS + 0.5), floor(v * PARTS + 0.5)) for u, v in points]
        us, vs = zip(*corners, strict=True)
        region = self._within(min(us), min(vs), max(us), max(vs))
        if region is NOWHERE:
            return region
        u, v = (_middles(axis) for axis in region.window[::-1])
        edges = list(zip(corners, corners[1:] + corners[:1], strict=True))
        turn = sum(u0 * v1 - u1 * v0 for (u0, v0), (u1, v1) in edges)
        inside = region.mask
        for (u0, v0), (u1, v1) in edges if turn >= 0 else [(end, start) for start, end in edges]:
            inside &= ((u1 - u0) * (v - v0))[:, None] >= (v1 - v0) * (u - u0)
        return self.cover(region, region.mask, plane, paint)

    def ellipse(self, u: float, v: float, across: float, up: float, plane: Plane, paint: Paint) -> Region:
        """Middle and radii in samples."""
        middle_u, middle_v = floor(u * PARTS + 0.5), floor(v * PARTS + 0.5)
        a, b = max(1, floor(across * PARTS + 0.5)), max(1, floor(up * PARTS + 0.5))
        region = self._within(middle_u - a, middle_v - b, middle_u + a, middle_v + b)
        if region is NOWHERE:
            return region
        columns, rows = (_middles(axis) for axis in region.window[::-1])
        inside = ((rows - middle_v) * a)[:, None] ** 2 + ((columns - middle_u) * b) ** 2 <= (a * b) ** 2
        region.mask[:] = inside
        return self.cover(region, region.mask, plane, paint)

    def cover(self, region: Region, where: NDArray[np.bool_], plane: Plane, paint: Paint) -> Region:
        """Paint those samples of a region that are in `where`, of the shape of its mask."""
        self.surfaces[region.window][where & region.mask] = len(self.paints)
        self.paints.append(paint)
        self.planes.append(plane)
        return region

    def _within(self, left: int, top: int, right: int, bottom: int) -> Region:
        """The part of a bounding box, in 1/16, that lies on the canvas; all of it in the mask."""
        low_u, low_v = max(left // PARTS, 0), max(top // PARTS, 0)
        high_u = min(-(-right // PARTS), self.camera.width)
        high_v = min(-(-bottom // PARTS), self.camera.height)
        if low_u >= high_u or low_v >= high_v:
            return NOWHERE
        return Region(low_v, low_u, np.ones((high_v - low_v, high_u - low_u), bool))


def _middles(axis: slice) -> NDArray[np.int64]:
    return np.arange(axis.start, axis.stop, dtype=np.int64) * PARTS + PARTS // 2
