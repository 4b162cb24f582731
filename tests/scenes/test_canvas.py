"""The canvas: which samples a surface covers, against exact fractions; planes; who is in front."""

from fractions import Fraction

import numpy as np
import pytest

from flatqat.scenes.camera import Camera
from flatqat.scenes.canvas import Canvas
from flatqat.scenes.dice import Dice
from flatqat.scenes.paint import Paint

CAMERA = Camera(width=24, height=16, focal=20.0, center=11.0, horizon=6.0, above=1.5)
PAINT = Paint(color=(1.0, 0.0, 0.0), label=3)


def rounded(value: float) -> Fraction:
    return Fraction(int(np.floor(value * 16 + 0.5)), 16)


def inside_polygon(points: list[tuple[float, float]], row: int, column: int) -> bool:
    """Whether the middle of a sample lies on one side of every edge, in fractions."""
    u, v = column + Fraction(1, 2), row + Fraction(1, 2)
    corners = [(rounded(x), rounded(y)) for x, y in points]
    around = zip(corners, [*corners[1:], corners[0]], strict=True)
    sides = [(x1 - x0) * (v - y0) - (y1 - y0) * (u - x0) for (x0, y0), (x1, y1) in around]
    return all(side >= 0 for side in sides) or all(side <= 0 for side in sides)


@pytest.mark.parametrize("number", range(20))
def test_a_polygon_covers_the_samples_whose_middles_it_holds(number: int) -> None:
    dice = Dice(7, number)
    u, v = dice.uniform(-3, 27), dice.uniform(-3, 19)
    points = [(u, v), (u + dice.uniform(2, 12), v - dice.uniform(0, 5)), (u + dice.uniform(0, 9), v + 8)]
    points = points if number % 2 else points[::-1]
    canvas = Canvas(CAMERA)
    canvas.polygon(points, CAMERA.front(5), PAINT)
    expected = [[inside_polygon(points, row, column) for column in range(24)] for row in range(16)]
    assert np.array_equal(canvas.surfaces == 1, expected)


@pytest.mark.parametrize("number", range(10))
def test_an_ellipse_covers_the_samples_whose_middles_it_holds(number: int) -> None:
    dice = Dice(8, number)
    u, v, a, b = dice.uniform(-2, 26), dice.uniform(-2, 18), dice.uniform(0.5, 9), dice.uniform(0.5, 6)
    canvas = Canvas(CAMERA)
    canvas.ellipse(u, v, a, b, CAMERA.front(5), PAINT)
    u, v, a, b = map(rounded, (u, v, a, b))
    half = Fraction(1, 2)
    expected = [
        [((c + half - u) / a) ** 2 + ((r + half - v) / b) ** 2 <= 1 for c in range(24)] for r in range(16)
    ]
    assert np.array_equal(canvas.surfaces == 1, expected)


def test_a_box_covers_the_samples_of_its_rectangle() -> None:
    """Apart from those whose middles lie exactly on its right or lower edge, which only a polygon takes."""
    for number in range(20):
        dice = Dice(9, number)
        z, x, y = dice.uniform(3, 20), dice.uniform(-3, 3), dice.uniform(-1, 3)
        width, height = dice.uniform(0.1, 4), dice.uniform(0.1, 4)
        box, polygon = Canvas(CAMERA), Canvas(CAMERA)
        box.box(z, x, y, width, height, PAINT)
        low, high = x - width / 2, x + width / 2
        polygon.front(z, [(low, y), (high, y), (high, y + height), (low, y + height)], PAINT)
        right, bottom = rounded(CAMERA.column(high, z)), rounded(CAMERA.row(y, z))
        edges = polygon.surfaces.copy()
        if right % 1 == Fraction(1, 2) and 0 <= right < 24:
            edges[:, int(right)] = 0
        if bottom % 1 == Fraction(1, 2) and 0 <= bottom < 16:
            edges[int(bottom)] = 0
        assert np.array_equal(box.surfaces, edges)


def test_planes_give_the_depth_of_their_points() -> None:
    for x, y, z in ((2.0, 0.0, 7.0), (-3.0, 4.0, 20.0)):
        u, v = CAMERA.at(x, y, z)
        for a, b, c in (CAMERA.front(z), CAMERA.side(x), *([CAMERA.ground()] if y == 0 else [])):
            assert a * u + b * v + c == pytest.approx(1 / z, rel=1e-12)  # a few roundings


def test_a_sample_of_an_upright_plane_gives_its_point_back() -> None:
    """At 1e-12: a handful of roundings of numbers near 1."""
    for x, y, z in ((2.0, 0.5, 5.0), (-1.5, 3.0, 12.0), (4.0, 1.0, 30.0)):
        u, v = CAMERA.at(x, y, z)
        depth = CAMERA.depth(x, np.array([u]))
        assert depth == pytest.approx([z], rel=1e-12)
        assert CAMERA.over_ground(np.array([v]), depth) == pytest.approx([y], rel=1e-12)
        assert CAMERA.over_ground(np.array([v]), z) == pytest.approx([y], rel=1e-12)


def test_what_is_drawn_later_is_in_front() -> None:
    canvas = Canvas(CAMERA)
    canvas.box(9, 0, 0, 3, 3, PAINT)
    canvas.box(5, 0, 0, 1, 1, PAINT)
    u, v = CAMERA.at(0, 0.5, 5)
    assert canvas.surfaces[int(v), int(u)] == 2
    assert canvas.surfaces[0, 0] == 0


def test_dice_are_numpys_raw_words() -> None:
    words = np.random.PCG64([3, 5]).random_raw(2)
    dice = Dice(3, 5)
    assert dice.uniform() == (int(words[0]) >> 11) / 2**53
    assert dice.integer(2, 6) == 2 + int(words[1]) % 5
    assert Dice(3, 5).uniform() != Dice(5, 3).uniform()


def test_normals_have_mean_zero_and_variance_one() -> None:
    """Standard errors with 40,000 numbers: 0.005 of the mean, 0.007 of the variance at most."""
    x = Dice(1).normals(200, 200)
    assert abs(x.mean()) < 0.02
    assert abs(x.var() - 1) < 0.03
    assert abs(x).max() <= 12**0.5
