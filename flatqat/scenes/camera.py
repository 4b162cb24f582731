"""A pinhole camera above a flat street, which maps metres to samples, and the planes that scenes consist of.

With x to the right, y up from the ground and z ahead of the camera, a point is projected to

    column  u = center + focal x / z
    row     v = horizon + focal (above - y) / z

so 1 / z is affine in (u, v) on every plane that does not contain the camera.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]
Plane = tuple[float, float, float]
"""(a, b, c): the inverse depth a u + b v + c, in 1 / metre."""
SKY_PLANE: Plane = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """A pinhole camera: lengths are in samples, except `above`, its height over the ground in metres."""

    width: int
    height: int
    focal: float
    center: float
    horizon: float
    above: float

    def column(self, x: float, z: float) -> float:
        """Return the column of a point at x and z."""
        return self.center + self.focal * x / z

    def row(self, y: float, z: float) -> float:
        """Return the row of a point at y and z."""
        return self.horizon + self.focal * (self.above - y) / z

    def at(self, x: float, y: float, z: float) -> Point:
        """Return column and row of a point."""
        return self.column(x, z), self.row(y, z)

    def depth(self, x: float, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return z of the samples in `columns` that show the upright plane along the street at x."""
        return self.focal * x / (columns - self.center)

    def over_ground(self, rows: NDArray[np.float64], z: "float | NDArray[np.float64]") -> NDArray[np.float64]:
        """Return y of the samples in `rows` that show something at depth z."""
        return self.above - (rows - self.horizon) * z / self.focal

    def front(self, z: float) -> Plane:
        """Return the plane that faces the camera at depth z."""
        return 0.0, 0.0, 1 / z

    def side(self, x: float) -> Plane:
        """Return the upright plane along the street at x, which is not 0."""
        return 1 / (self.focal * x), 0.0, -self.center / (self.focal * x)

    def ground(self) -> Plane:
        """Return the plane of the ground."""
        return 0.0, 1 / (self.focal * self.above), -self.horizon / (self.focal * self.above)
