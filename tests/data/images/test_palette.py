"""Colors of classes, and label maps as pictures."""

import io

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from flatqat.data.images.palette import COLORS, SPARE, as_png, painted, palette


def test_classes_have_colors_of_their_own():
    names = ("road", "Tree", "a thing nobody knows", "another")
    found = palette(names)
    assert found[0] == COLORS["road"]
    assert found[1] == COLORS["vegetation"]
    assert len(set(found)) == 4


def test_the_spare_colors_are_those_of_matplotlib():
    assert [tuple(int(255 * part) for part in rgb) for rgb in colormaps["tab20"].colors] == [*SPARE]
    assert palette(["x"] * 21)[20] == SPARE[0]


@pytest.mark.parametrize("count", [1, 2, 19, 255])
def test_a_png_has_the_colors_and_is_small(count):
    colors = [(at, 255 - at, at // 2) for at in range(count)]
    labels = np.random.default_rng(0).integers(0, count, size=(30, 40)).astype(np.uint8)
    labels[:2] = 255
    data = as_png(labels, colors)
    image = Image.open(io.BytesIO(data))
    assert (image.format, image.mode) == ("PNG", "P")
    assert np.array_equal(np.asarray(image.convert("RGB")), painted(labels, colors))
    assert data == as_png(labels.copy(), colors)
    plain = io.BytesIO()
    Image.fromarray(painted(labels, colors)).save(plain, "PNG")
    assert len(data) <= len(plain.getvalue())
