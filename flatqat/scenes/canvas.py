"""A canvas on which surfaces are drawn from far to near; each sample remembers the last one that covered it.

Corners are rounded to 1/16 of a sample and coverage is decided in integers at the samples' centers, so the
same surface covers the same samples on every machine.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import floor

import numpy as np
from numpy.typing import NDArray

from flatqat.scenes.camera import SKY_PLANE, Camera, Plane, Point
from flatqat.scenes.classes import SKY
from flatqat.scenes.paint import BLACK, Paint

PARTS, HALF = 16, 8  # of a sample


@dataclass(frozen=True, slots=True)
class Region:
    """The samples that a surface covers: `mask` within the rows and columns of its bounding box."""

    top: int
    left: int
    mask: NDArray[np.bool_]

    @property
    def window(self) -> tuple[slice, slice]:
        """The rows and columns of the bounding box."""
        height, width = self.mask.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)

    @property
    def rows(self) -> NDArray[np.float64]:
        """The centers of the samples' rows, as a column."""
        return self.top + 0.5 + np.arange(self.mask.shape[0], dtype=np.float64)[:, None]

    @property
    def columns(self) -> NDArray[np.float64]:
        """The centers of the samples' columns."""
        return self.left + 0.5 + np.arange(self.mask.shape[1], dtype=np.float64)


NOWHERE = Region(0, 0, np.zeros((0, 0), bool))


class Canvas:
    """The surfaces drawn so far.

    Attributes:
        camera: The camera that projects them.
        surfaces: The number of the surface at each sample (height, width); 0 is the sky.
        paints: The paint of each surface.
        planes: The plane of each surface.
    """

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self.surfaces = np.zeros((camera.height, camera.width), np.int16)
        # centers of rows or columns, in 1/16 of a sample
        self._grid = np.arange(max(camera.width, camera.height), dtype=np.int64) * PARTS + HALF
        self.paints = [Paint(color=BLACK, label=SKY, grain=0.0)]
        self.planes = [SKY_PLANE]

    def front(self, z: float, corners: Sequence[Point], paint: Paint) -> Region:
        """Draw a convex polygon with corners (x, y) that faces the camera."""
        return self.polygon([self.camera.at(x, y, z) for x, y in corners], self.camera.front(z), paint)

    def side(self, x: float, corners: Sequence[Point], paint: Paint) -> Region:
        """Draw a convex polygon with corners (z, y) along the street."""
        return self.polygon([self.camera.at(x, y, z) for z, y in corners], self.camera.side(x), paint)

    def floor(self, corners: Sequence[Point], paint: Paint) -> None:
        """Draw a convex polygon with corners (x, z) on the ground."""
        self.polygon([self.camera.at(x, 0, z) for x, z in corners], self.camera.ground(), paint)

    def box(self, z: float, x: float, y: float, width: float, height: float, paint: Paint) -> None:
        """Draw a rectangle that faces the camera: x is its middle, y its foot."""
        left, bottom = self.camera.at(x - width / 2, y, z)
        right, top = self.camera.at(x + width / 2, y + height, z)
        rows = slice(_first(top, self.camera.height), _first(bottom, self.camera.height))
        columns = slice(_first(left, self.camera.width), _first(right, self.camera.width))
        if rows.start < rows.stop and columns.start < columns.stop:
            self.surfaces[rows, columns] = self._added(self.camera.front(z), paint)

    def disc(self, z: float, x: float, y: float, across: float, up: float, paint: Paint) -> None:
        """Draw an ellipse that faces the camera, with its two radii in metres."""
        u, v = self.camera.at(x, y, z)
        scale = self.camera.focal / z
        self.ellipse(u, v, across * scale, up * scale, self.camera.front(z), paint)

    def wheel(self, x: float, z: float, radius: float, paint: Paint) -> None:
        """Draw a disc on the ground in the plane along the street."""
        u, v = self.camera.at(x, radius, z)
        across = abs(self.camera.column(x, z - radius) - self.camera.column(x, z + radius)) / 2
        self.ellipse(u, v, across, self.camera.focal * radius / z, self.camera.side(x), paint)

    def polygon(self, points: Sequence[Point], plane: Plane, paint: Paint) -> Region:
        """Draw a convex polygon on a plane, with corners in samples."""
        corners = [(floor(u * PARTS + 0.5), floor(v * PARTS + 0.5)) for u, v in points]
        us, vs = zip(*corners, strict=True)
        region = self._within(min(us), min(vs), max(us), max(vs))
        if region is NOWHERE:
            return region
        v, u = (self._grid[part] for part in region.window)
        turn = sum(u0 * v1 - u1 * v0 for (u0, v0), (u1, v1) in pairwise([*corners, corners[0]]))
        around = corners if turn >= 0 else corners[::-1]
        start = np.array(around, np.int64)[:, :, None]
        along = np.array([*around[1:], around[0]], np.int64)[:, :, None] - start
        down = along[:, 0] * (v - start[:, 1])
        across = along[:, 1] * (u - start[:, 0])
        (down[:, :, None] >= across[:, None]).all(axis=0, out=region.mask)
        self.cover(region, region.mask, plane, paint)
        return region

    def ellipse(self, u: float, v: float, across: float, up: float, plane: Plane, paint: Paint) -> None:
        """Draw an ellipse on a plane, with middle and radii in samples."""
        middle_u, middle_v = floor(u * PARTS + 0.5), floor(v * PARTS + 0.5)
        a, b = max(1, floor(across * PARTS + 0.5)), max(1, floor(up * PARTS + 0.5))
        region = self._within(middle_u - a, middle_v - b, middle_u + a, middle_v + b)
        if region is NOWHERE:
            return
        rows, columns = (self._grid[part] for part in region.window)
        below, beside = (rows - middle_v) * a, (columns - middle_u) * b
        np.less_equal((below * below)[:, None] + beside * beside, (a * b) ** 2, out=region.mask)
        self.cover(region, region.mask, plane, paint)

    def cover(self, region: Region, where: NDArray[np.bool_], plane: Plane, paint: Paint) -> None:
        """Paint those samples of a region that are in `where`, which has the shape of its mask."""
        covered = where if where is region.mask else where & region.mask
        np.copyto(self.surfaces[region.window], self._added(plane, paint), where=covered)

    def _added(self, plane: Plane, paint: Paint) -> np.int16:
        self.paints.append(paint)
        self.planes.append(plane)
        return np.int16(len(self.paints) - 1)

    def _within(self, left: int, top: int, right: int, bottom: int) -> Region:
        """Return the samples on the canvas whose centers are in a box given in 1/16 of a sample."""
        low_u, low_v = max((left + HALF - 1) // PARTS, 0), max((top + HALF - 1) // PARTS, 0)
        high_u = min((right + HALF) // PARTS, self.camera.width)
        high_v = min((bottom + HALF) // PARTS, self.camera.height)
        if low_u >= high_u or low_v >= high_v:
            return NOWHERE
        return Region(low_v, low_u, np.empty((high_v - low_v, high_u - low_u), bool))


def _first(position: float, most: int) -> int:
    """Return the first sample whose center is at or behind `position`, rounded to 1/16 of a sample."""
    return min(max((floor(position * PARTS + 0.5) + HALF - 1) // PARTS, 0), most)
