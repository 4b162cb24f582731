"""Corrupted sets on disk: paired with the clean images, shown as they are stored, found in every layout."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from flatqat.data.corruptions.names import SEVERITIES
from flatqat.data.imagenet import classes, clean, corrupted
from flatqat.data.imagenet.names import IMAGENET_3DCC, IMAGENET_C, IMAGENET_C_BAR
from flatqat.errors import DataError
from tests.helpers import imagenet_files as files

FLOATS = ("10.00", "2.35", "3.20", "4.90", "9.15")  # as text 10.00 comes first


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """ImageNet and ImageNet-C, whole but for the number of images."""
    root = files.val(tmp_path_factory.mktemp("data"))
    files.corrupted(root / "ImageNet-C", IMAGENET_C)
    return root


def load(root, corruption="fog", severity=3, wanted=IMAGENET_C):
    return corrupted.corrupted(root, wanted, corruption=corruption, severity=severity)


def test_corrupted_and_clean_images_are_paired(root):
    whole = corrupted.uncorrupted(root, IMAGENET_C)
    assert whole.ids.tolist() == sorted(files.NUMBERS)
    for severity in SEVERITIES:
        data = load(root, severity=severity)
        assert torch.equal(data.ids, whole.ids)
        assert torch.equal(data.labels, whole.labels)
        seen = data.fetch(torch.arange(len(data))).numpy()
        assert files.numbers_seen(seen, severity) == whole.ids.tolist()


def test_stored_images_are_shown_as_they_are(root):
    """To the value: neither resized nor cut, whatever the model's frame."""
    data = load(root)
    assert data.through_transform is None
    wnid = classes.wnids()[65]
    with Image.open(root / "ImageNet-C" / "fog" / "3" / wnid / files.name(1)) as image:
        pixels = np.array(image).transpose(2, 0, 1)
    assert np.array_equal(data.fetch(torch.tensor([0]))[0].numpy(), pixels)


def test_other_sizes_are_refused(tmp_path):
    files.val(tmp_path)
    folder = files.corrupted(tmp_path / "imagenet-c", IMAGENET_C, {1: 65, 2: 970})
    path = folder / "fog" / "3" / classes.wnids()[970] / files.name(2)
    files.image(path, (0, 0, 0), (256, 256))
    with pytest.raises(DataError, match=r"00000002.JPEG: expected an image of 224x224, got 256x256; use the"):
        load(tmp_path).fetch(torch.tensor([1]))


@pytest.mark.parametrize(
    ("spelling", "grouped"), [("imagenet-c", False), ("ImageNet-C", True), ("imagenet_c", True), (".", False)]
)
def test_layouts(spelling, grouped, tmp_path):
    numbers = {1: 65, 293: 0}
    root = files.val(tmp_path, numbers)
    files.corrupted(root / spelling, IMAGENET_C, numbers, grouped=grouped)
    for corruption in ("gaussian_noise", "saturate"):
        data = load(root, corruption, 5)
        assert files.numbers_seen(data.fetch(torch.arange(2)).numpy(), 5) == [1, 293]


def test_the_data_root_is_the_set_itself(tmp_path):
    numbers = {1: 65, 293: 0}
    files.val(tmp_path, numbers)
    folder = files.corrupted(tmp_path / "imagenet-c", IMAGENET_C, numbers)
    assert load(folder).ids.tolist() == [1, 293]


def test_severities_of_their_own_are_in_numeric_order(tmp_path):
    numbers = {1: 65, 293: 0}
    root = files.val(tmp_path, numbers)
    ordered = sorted(FLOATS, key=float)
    files.corrupted(root / "imagenet_c_bar", IMAGENET_C_BAR, numbers, ordered)
    for severity in SEVERITIES:
        seen = load(root, "caustic_refraction", severity, IMAGENET_C_BAR).fetch(torch.arange(2)).numpy()
        assert files.numbers_seen(seen, severity) == [1, 293]
    assert ordered != sorted(FLOATS)


def test_3dcc(tmp_path):
    numbers = {1: 65, 293: 0}
    files.corrupted(files.val(tmp_path, numbers) / "ImageNet-3DCC", IMAGENET_3DCC, numbers)
    assert load(tmp_path, "h265_crf", 1, IMAGENET_3DCC).labels.tolist() == [65, 0]


def test_a_smaller_copy_shows_the_clean_images_that_it_has(tmp_path):
    part = {number: label for number, label in files.NUMBERS.items() if number % 2}
    files.corrupted(files.val(tmp_path) / "imagenet-c", IMAGENET_C, part)
    whole = corrupted.uncorrupted(tmp_path, IMAGENET_C)
    assert whole.ids.tolist() == sorted(part)
    assert torch.equal(load(tmp_path).ids, whole.ids)
    assert files.numbers_seen(whole.fetch(torch.arange(len(whole))).numpy()) == sorted(part)


def test_fewer_clean_images_are_the_ones_that_count(tmp_path):
    part = {number: label for number, label in files.NUMBERS.items() if number % 2}
    files.corrupted(files.val(tmp_path, part) / "imagenet-c", IMAGENET_C)
    data = load(tmp_path)
    assert data.ids.tolist() == sorted(part)
    assert files.numbers_seen(data.fetch(torch.arange(len(data))).numpy(), 3) == sorted(part)


def test_flat_clean_images_pair_with_class_folders(tmp_path):
    files.listed(files.flat_val(tmp_path) / "imagenet" / "val.txt")
    files.corrupted(tmp_path / "imagenet-c", IMAGENET_C)
    assert torch.equal(load(tmp_path).ids, clean.scored(tmp_path).ids)


def lacking_image(folder):
    (folder / "fog" / "3" / classes.wnids()[970] / files.name(2)).unlink()


def other_class(folder):
    place = folder / "fog" / "3"
    (place / classes.wnids()[970]).rename(place / classes.wnids()[971])


def lacking_severity(folder):
    shutil.rmtree(folder / "fog" / "4")


def lacking_corruption(folder):
    shutil.rmtree(folder / "fog")


FAULTS = {
    "image": (
        lacking_image,
        r"/fog/3: expected the 2 images of .* got none for 1 of them: n09193705/.*02.JPEG; complete",
    ),
    "class": (other_class, r"expected the class of .*n09193705/.*, got another; use the original folders"),
    "severity": (lacking_severity, r"/fog: expected five folders of severities, 1 to 5, got 1, 2, 3, 5; "),
    "corruption": (lacking_corruption, r"expected a folder weather/fog/ or fog/, got .*; unpack all of"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_paired_is_refused(fault, tmp_path):
    plant, message = FAULTS[fault]
    numbers = {1: 65, 2: 970}
    plant(files.corrupted(files.val(tmp_path, numbers) / "imagenet-c", IMAGENET_C, numbers))
    with pytest.raises(DataError, match=message):
        load(tmp_path)


def test_an_archive_that_lies_there_is_named(tmp_path):
    numbers = {1: 65}
    folder = files.corrupted(files.val(tmp_path, numbers) / "imagenet-c", IMAGENET_C, numbers)
    shutil.rmtree(folder / "fog")
    (folder / "weather.tar").touch()
    with pytest.raises(DataError, match=r"unpack .*imagenet-c/weather.tar"):
        load(tmp_path)


def test_other_names_are_refused(tmp_path):
    files.natural(tmp_path / "imagenet" / "val", (3, 4))
    files.corrupted(tmp_path / "imagenet-c", IMAGENET_C, {1: 65})
    with pytest.raises(DataError, match="under their own names, got none of them; use copies of one set"):
        load(tmp_path)


def test_what_may_be_absent(root, tmp_path):
    assert corrupted.missing_corruptions(root, IMAGENET_C, "extra") == frozenset()
    folder = shutil.copytree(root / "ImageNet-C", tmp_path / "ImageNet-C", symlinks=True)
    shutil.rmtree(folder / "saturate")
    assert corrupted.missing_corruptions(tmp_path, IMAGENET_C, "extra") == {"saturate"}
    assert corrupted.missing_corruptions(tmp_path / "fog", IMAGENET_C, "extra") == frozenset()
