"""Whether a dataset has as many images as were published, and whether its files are complete."""

from pathlib import Path

import numpy as np
import pytest

from flatqat.data.imagenet import classes, names, verify
from flatqat.data.imagenet.file_checks import check_complete
from flatqat.data.imagenet.files import Images, in_class_folders
from flatqat.errors import DataError
from tests.helpers import imagenet_files as files


def made_up(labels: list[int]) -> Images:
    """Images without files."""
    names = tuple(f"{classes.wnids()[label]}/{at}.jpg" for at, label in enumerate(labels))
    return Images(
        folder=Path("val"), names=names, labels=np.array(labels), ids=np.arange(len(labels), dtype=np.int64)
    )


def val_file(folder: Path, number: int) -> Path:
    return folder / classes.wnids()[files.NUMBERS[number]] / files.name(number)


EVERY = tuple(range(1000))


@pytest.mark.parametrize(
    ("labels", "ok", "stops"),
    [
        (list(EVERY) * 50, True, False),
        (list(EVERY) * 50 + [7], False, True),
        ([*(list(EVERY) * 50)[1:], 7], False, True),
        ((list(EVERY) * 50)[1:], False, False),
        (list(EVERY[1:]) * 50, False, False),
    ],
    ids=["whole", "one more", "one in another class", "one less", "a class less"],
)
def test_counts(labels, ok, stops):
    finding = verify.counted("ImageNet val", made_up(labels), names.VAL, EVERY, each=names.EACH)
    assert (finding.ok, finding.is_fatal) == (ok, stops)


def test_too_many_of_a_set_without_a_count_for_each_class():
    assert verify.counted("a set", made_up([1, 1, 2]), 2, (1, 2)).is_fatal
    assert verify.counted("a set", made_up([1, 1, 2]), 3, (1, 2)).ok


def test_every_file_is_checked(tmp_path):
    """Any of them may be cut off; a file that ends with other bytes but decodes is complete."""
    folder = files.val(tmp_path) / "imagenet" / "val"
    images = in_class_folders(folder)
    with val_file(folder, 258).open("ab") as file:
        file.write(b"\0\0trailing")
    assert check_complete(images, most=100) == len(images)
    path = val_file(folder, 1168)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"got 1 that .*ILSVRC2012_val_00001168.JPEG\)"):
        check_complete(images, most=100)
