"""Files in class folders: labels by name and not by rank, one order, ids that stay."""

import shutil

import numpy as np
import pytest

from flatqat.data.imagenet import classes
from flatqat.data.imagenet.files import image_id, in_class_folders
from flatqat.errors import DataError
from tests.helpers import imagenet_files as files


def test_missing_folders_shift_no_label(tmp_path):
    folder = files.val(tmp_path) / "imagenet" / "val"
    whole = in_class_folders(folder)
    fewer = tmp_path / "fewer"
    shutil.copytree(folder, fewer)
    shutil.rmtree(fewer / classes.wnids()[0])
    (fewer / "._hidden").mkdir()
    (fewer / classes.wnids()[999] / "._ILSVRC2012_val_00002663.JPEG").write_bytes(b"")
    assert dict(zip(whole.ids.tolist(), whole.labels.tolist(), strict=True)) == files.NUMBERS
    part = in_class_folders(fewer)
    assert dict(zip(part.ids.tolist(), part.labels.tolist(), strict=True)) == {
        number: label for number, label in files.NUMBERS.items() if label != 0
    }


def test_the_order_is_that_of_image_names(tmp_path):
    images = in_class_folders(files.val(tmp_path) / "imagenet" / "val")
    assert images.ids.tolist() == sorted(files.NUMBERS)
    assert [files.name(number) for number in sorted(files.NUMBERS)] == [
        name.partition("/")[2] for name in images.names
    ]


def test_ids_without_numbers_are_of_class_and_name(tmp_path):
    """Neither the root, nor the suffix, nor the other images change an id; the class and the name do."""
    one = in_class_folders(files.natural(tmp_path / "one", (3, 9), each=3))
    other = in_class_folders(files.natural(tmp_path / "elsewhere" / "other", (9,), each=2))
    assert set(other.ids) == set(one.ids[one.labels == 9][:2])
    assert len(set(one.ids)) == 6
    assert (one.ids >= 0).all()
    assert image_id("n01440764/a.JPEG", "n01440764") == image_id("0/a.png", "n01440764")
    assert image_id("n01440764/a.JPEG", "n01440764") != image_id("n01440764/b.JPEG", "n01440764")
    assert image_id("x/ILSVRC2012_val_00000293.JPEG", "n01440764") == 293


def test_integer_folders_are_numbers(tmp_path):
    """As text 10 comes before 2; as a number it is class 10."""
    labels = (0, 2, 10, 100, 999)
    folder = files.natural(tmp_path / "v2", map(str, labels), each=1)
    images = in_class_folders(folder, "integer")
    by_folder = {
        name.partition("/")[0]: label for name, label in zip(images.names, images.labels, strict=True)
    }
    assert by_folder == {str(label): label for label in labels}
    assert image_id("10/image_0.jpg", classes.wnids()[10]) in images.ids


def test_wordnet_ids_do_where_integers_are_usual(tmp_path):
    images = in_class_folders(files.natural(tmp_path / "v2", (7, 70), each=1), "integer")
    assert sorted(images.labels.tolist()) == [7, 70]


def test_an_image_in_two_classes_is_refused(tmp_path):
    folder = files.val(tmp_path) / "imagenet" / "val"
    files.image(folder / classes.wnids()[17] / files.name(293), (0, 0, 0))
    with pytest.raises(DataError, match=r"each image once, got n01440764/.*00000293.JPEG and n01580077"):
        in_class_folders(folder)


def test_folders_with_the_same_names_share_them(tmp_path):
    """So that 95 shifts of 50,000 images keep one list of names."""
    one, two = (in_class_folders(files.val(tmp_path / str(n)) / "imagenet" / "val") for n in range(2))
    assert one.names is two.names
    assert one.ids is two.ids
    assert one.paths[0] != two.paths[0]


def test_listing_opens_no_file(tmp_path, monkeypatch):
    """Names alone: a file that cannot be read is listed like any other, and each folder is read once."""
    folder = files.val(tmp_path) / "imagenet" / "val"
    for path in folder.glob("*/*"):
        path.unlink()
        path.symlink_to(tmp_path / "nowhere")
    images = in_class_folders(folder)
    assert len(images) == len(files.NUMBERS)
    monkeypatch.setattr("os.scandir", None)
    assert in_class_folders(folder) is images


def test_loading_checks_what_it_decodes(tmp_path):
    folder = files.val(tmp_path) / "imagenet" / "val"
    images = in_class_folders(folder)
    data = images.take(np.array([3, 1])).load()
    assert data.ids.tolist() == [images.ids[3], images.ids[1]]
    assert files.numbers_seen(data.fetch(data.labels * 0).numpy()) == [images.ids[3]] * 2
