"""The table of classes against timm's lists."""

from pathlib import Path

import pytest

from flatqat.data.imagenet import classes


def timms(name: str) -> list[str]:
    timm = pytest.importorskip("timm")
    return (Path(timm.__file__).parent / "data" / "_info" / f"{name}.txt").read_text().split()


def test_classes_are_those_of_timm_in_its_order():
    assert list(classes.wnids()) == timms("imagenet_synsets")


@pytest.mark.parametrize("letter", ["r", "a"])
def test_the_200_classes_are_those_of_timm(letter):
    only = classes.subset(letter)
    assert [classes.wnids()[label] for label in only] == sorted(timms(f"imagenet_{letter}_synsets"))
    assert list(only) == sorted(map(int, timms(f"imagenet_{letter}_indices")))
    assert len(only) == 200


def test_labels_are_places_in_the_order_of_ids():
    assert list(classes.wnids()) == sorted(set(classes.wnids()))
    assert classes.labels()["n01440764"] == 0
    assert classes.labels()["n15075141"] == 999
    assert len(classes.labels()) == classes.COUNT


def test_the_first_validation_images_are_labeled_as_elsewhere():
    """timm holds the ReaL labels of all validation images by number; most agree with the original label."""
    import json

    from tests.helpers.imagenet_files import FIRST

    timm = pytest.importorskip("timm")
    file = Path(timm.__file__).parent / "data" / "_info" / "imagenet_real_labels.json"
    real = json.loads(file.read_text())
    assert all(label in real[number - 1] for number, label in FIRST.items() if real[number - 1])
    assert sum(bool(real[number - 1]) for number in FIRST) >= 4
