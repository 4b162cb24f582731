"""Scenes: the same pixels everywhere, all classes, depth that fits geometry and labels."""

from functools import cache

import numpy as np
import pytest

from flatqat.data.streets.names import CLASSES
from flatqat.errors import DataError
from flatqat.scenes import classes
from flatqat.scenes.classes import ROAD, SKY, TERRAIN
from flatqat.scenes.load import PARTS
from flatqat.scenes.pinned import PINNED, check, digest
from flatqat.scenes.scene import Scene, scene
from flatqat.scenes.size import HEIGHT, WIDTH
from flatqat.spec import IGNORED


@cache
def some() -> list[Scene]:
    return [scene(number) for number in range(40)]


@pytest.mark.parametrize("number", PINNED)
def test_pixels_stay_as_they_are(number: int) -> None:
    """Others would be another version of the suite."""
    assert digest(number) == PINNED[number]


def test_other_pixels_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check().startswith("560 street scenes")
    monkeypatch.setitem(PINNED, 1000, "0" * 12)
    with pytest.raises(DataError, match="scene 1000: expected pixels that hash to 000000000000"):
        check()


def test_a_scene_depends_on_its_number_alone() -> None:
    first = scene(3)
    assert np.array_equal(first.colors, some()[3].colors)
    assert np.array_equal(first.labels, some()[3].labels)
    assert np.array_equal(first.depth, some()[3].depth)
    assert not np.array_equal(first.colors, some()[4].colors)


def test_labels_are_train_ids_and_every_class_is_common() -> None:
    for one in some():
        assert one.labels.shape == (HEIGHT, WIDTH)
        assert set(np.unique(one.labels)) <= {*range(19), IGNORED}
    for label in range(19):
        assert sum((one.labels == label).any() for one in some()) >= 8, f"class {label} in less than a fifth"


def test_colors_are_those_of_images() -> None:
    for one in some():
        assert one.colors.shape == (HEIGHT, WIDTH, 3)
        assert one.colors.min() >= 0
        assert one.colors.max() <= 1
        assert one.colors.std() > 0.1


def test_the_sky_alone_is_infinitely_far() -> None:
    for one in some():
        assert np.array_equal(np.isinf(one.depth), one.labels == SKY)
        assert one.depth.min() > 0.5


@pytest.mark.parametrize("label", [ROAD, TERRAIN])
def test_the_ground_is_a_plane(label: int) -> None:
    """(row - horizon) x depth is focal length x height of the camera, the same number in a whole scene.

    A pixel's depth is that of one of two rows of samples, 1/4 pixel above or below its middle.
    """
    for one in some():
        below = np.arange(HEIGHT)[:, None] + 0.5 - one.horizon
        flat = (one.labels == label) & (below > 4)
        product, slack = (below * one.depth)[flat], (0.25 * one.depth)[flat]
        if flat.any():
            low, high = (product - slack).max(), (product + slack).min()
            assert low <= high * (1 + 1e-9)


def test_classes_have_the_train_ids_of_their_names() -> None:
    spelled = {"LIGHT": "traffic light", "SIGN": "traffic sign"}
    numbers = {name: number for name, number in vars(classes).items() if name.isupper()}
    assert len(numbers) == len(CLASSES) == 19
    assert all(CLASSES[at] == spelled.get(name, name.lower()) for name, at in numbers.items())


def test_parts_have_no_scene_in_common() -> None:
    numbers = [number for part in PARTS.values() for number in part]
    assert len(set(numbers)) == len(numbers) == 560
