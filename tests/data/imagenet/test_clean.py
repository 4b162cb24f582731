"""ImageNet's own images: every layout gives the same set, any other order of the classes is refused."""

from functools import partial
from pathlib import Path

import pytest
import torch

from flatqat.data.imagenet import clean
from flatqat.data.images.views import eval_crop
from flatqat.errors import DataError
from flatqat.spec import EvalTransform
from tests.helpers import imagenet_files as files


def labels_by_number(root: Path) -> dict[int, int]:
    images = clean.scored_images(root)
    return dict(zip(images.ids.tolist(), images.labels.tolist(), strict=True))


def sorted_wnids(root: Path) -> None:
    names = [files.classes.wnids()[label] for label in files.every_label()]
    file = root / "imagenet" / "imagenet_2012_validation_synset_labels.txt"
    file.write_text("\n".join(names))


def rewritten(change):
    """val.txt of caffe_ilsvrc12, saved by another program."""

    def write(root: Path) -> None:
        file = root / "imagenet" / "val.txt"
        files.listed(file)
        file.write_bytes(change(file.read_text()).encode())

    return write


MAPPINGS = {
    "kaggle": lambda root: files.solution(root / "LOC_val_solution.csv"),
    "inside": lambda root: files.solution(root / "imagenet" / "val" / "LOC_val_solution.csv"),
    "caffe": lambda root: files.listed(root / "imagenet" / "val.txt"),
    "caffe with ids": lambda root: files.listed(
        root / "imagenet" / "val.txt", {n: files.classes.wnids()[label] for n, label in files.NUMBERS.items()}
    ),
    "kaggle in another file": lambda root: files.solution(root / "imagenet" / "val.txt"),
    "byte order mark": rewritten(lambda text: "\ufeff" + text),
    "of Windows": rewritten(lambda text: text.replace("\n", "\r\n").replace("ILSVRC", "val\\ILSVRC")),
    "tabs and blanks": rewritten(lambda text: "\n" + text.replace(" ", "\t").replace("\n", "  \n\n")),
    "without endings": rewritten(lambda text: text.replace(".JPEG", "")),
    "by line": sorted_wnids,
    "devkit": lambda root: files.devkit(root / "imagenet" / "ILSVRC2012_devkit_t12" / "data"),
}


@pytest.mark.parametrize("mapping", MAPPINGS)
def test_flat_images_with_labels_beside_are_the_same_set(mapping, tmp_path):
    folders = files.val(tmp_path / "folders")
    flat = files.flat_val(tmp_path / "flat")
    MAPPINGS[mapping](flat)
    one, other = clean.scored(folders), clean.scored(flat)
    assert labels_by_number(flat) == files.NUMBERS
    assert torch.equal(one.ids, other.ids)
    assert torch.equal(one.labels, other.labels)
    assert torch.equal(one.fetch(torch.arange(4)), other.fetch(torch.arange(4)))


def test_the_first_image_is_number_1_of_class_65(tmp_path):
    data = clean.scored(files.val(tmp_path))
    assert (int(data.ids[0]), int(data.labels[0])) == (1, 65)
    assert files.numbers_seen(data.fetch(torch.arange(len(data))).numpy()) == sorted(files.NUMBERS)


def shifted(root: Path, by: int) -> None:
    files.listed(root / "imagenet" / "val.txt", {n: label + by for n, label in files.NUMBERS.items()})


def ground_truth_alone(root: Path) -> None:
    files.devkit(root / "imagenet")
    (root / "imagenet" / "meta.mat").unlink()


def damaged_meta(root: Path) -> None:
    files.devkit(root / "imagenet")
    (root / "imagenet" / "meta.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))


def ground_truth_as_val_txt(root: Path) -> None:
    """The devkit's order counted from 0, as if it were that of WordNet ids."""
    of_id = {label: number for number, label in files.devkit(root / "imagenet").items()}
    for name in ("meta.mat", "ILSVRC2012_validation_ground_truth.txt"):
        (root / "imagenet" / name).unlink()
    files.listed(root / "imagenet" / "val.txt", {n: of_id[label] - 1 for n, label in files.NUMBERS.items()})


def few(root: Path) -> None:
    files.listed(root / "imagenet" / "val.txt", {1: 65, 2: 970})


WRONG_MAPPINGS = {
    "none": (lambda root: None, "nothing that says their classes", "LOC_val_solution.csv"),
    "counted from 1": (partial(shifted, by=1), "numbers 1 to 1000 in an order of their own", "meta.mat"),
    "another order": (
        ground_truth_as_val_txt,
        r"got another for 11 of 12 that are known by name, such as 721 \(n03938244\) for ILSVRC2012",
        "sort the images by val.txt",
    ),
    "devkit without meta": (ground_truth_alone, "numbers 1 to 1000 in an order of their own", "put meta.mat"),
    "damaged meta": (damaged_meta, "expected meta.mat of the devkit", "restore it"),
    "of other images": (few, r"got none for 10 of 12", "belongs to these images"),
    "images alone": (
        lambda root: (root / "imagenet" / "val.txt").write_text("ILSVRC2012_val_00000001.JPEG\n"),
        "an image and its label, got 'ILSVRC2012_val_00000001.JPEG'",
        "use val.txt of caffe_ilsvrc12",
    ),
    "of a list in UTF-16": (
        lambda root: (root / "imagenet" / "val.txt").write_text("ILSVRC2012_val_00000001 65", "utf-16"),
        "expected text in UTF-8, got UTF-16",
        "save it as UTF-8",
    ),
    "two classes of an image": (
        rewritten(lambda text: text + "ILSVRC2012_val_00000002.JPEG 3\n"),
        "one class of each image, got 970 and 3 for ILSVRC2012_val_00000002",
        "use the original file",
    ),
    "words": (
        lambda root: files.listed(root / "imagenet" / "val.txt", dict.fromkeys(files.NUMBERS, "tench")),
        "a label from 0 to 999, got 'tench'",
        "original file",
    ),
}


@pytest.mark.parametrize("mapping", WRONG_MAPPINGS)
def test_labels_that_cannot_be_trusted_are_refused(mapping, tmp_path):
    plant, cause, fix = WRONG_MAPPINGS[mapping]
    plant(files.flat_val(tmp_path))
    with pytest.raises(DataError, match=cause) as caught:
        clean.scored_images(tmp_path)
    assert fix in str(caught.value)


def test_folders_made_in_another_order_are_refused(tmp_path):
    numbers = files.NUMBERS | {2: 971}
    with pytest.raises(DataError, match=r"971 \(n09229709\) for n09229709/ILSVRC2012_val_00000002"):
        clean.scored_images(files.val(tmp_path, numbers))


@pytest.mark.parametrize(
    "place",
    [
        "imagenet/val",
        "ImageNet/val",
        "ILSVRC2012/validation",
        "val",
        "ILSVRC/Data/CLS-LOC/val",
        "imagenet/ILSVRC/Data/CLS-LOC/val",
        "imagenet-1k/ILSVRC2012_img_val",
    ],
)
def test_usual_places(place, tmp_path):
    files.class_folders(tmp_path / place)
    assert labels_by_number(tmp_path) == files.NUMBERS


def test_beside_the_folder_of_another_set(tmp_path):
    """Where the data root is ImageNet-C itself; of another folder the neighbors do not count."""
    files.val(tmp_path)
    for name in ("ImageNet-C", "others"):
        (tmp_path / name).mkdir()
    assert labels_by_number(tmp_path / "ImageNet-C") == files.NUMBERS
    with pytest.raises(DataError, match="expected the validation images of ImageNet as imagenet/val"):
        clean.scored_images(tmp_path / "others")


def test_some_classes(tmp_path):
    data = clean.scored(files.val(tmp_path), files.IN_R)
    assert sorted(data.labels.tolist()) == sorted(
        label for label in files.NUMBERS.values() if label in files.IN_R
    )
    assert 0 < len(data) < len(files.NUMBERS)
    with pytest.raises(DataError, match="images of the 1 classes of this set, got none"):
        clean.scored(tmp_path, (1,))


def test_training_images_are_split_once_and_for_all(tmp_path):
    """A tenth is held out, no image is in both parts, and the parts are the same under another root."""
    roots = [files.train(files.val(tmp_path / str(n)), each=10) for n in range(2)]
    train, val = clean.train(roots[0]), clean.val(roots[0])
    assert (len(train), len(val)) == (27, 3)
    assert not set(train.ids.tolist()) & set(val.ids.tolist())
    assert set(train.labels.tolist()) == {0, 5, 999}
    assert torch.equal(clean.val(roots[1]).ids, val.ids)
    assert torch.equal(clean.train(roots[1]).ids, train.ids)
    assert clean.untrainable_reason(roots[0]) == ""


def test_at_most_10000_are_held_out(tmp_path, monkeypatch):
    monkeypatch.setattr(clean, "MOST_HELD_OUT", 2)
    root = files.train(files.val(tmp_path), each=10)
    assert (len(clean.train(root)), len(clean.val(root))) == (28, 2)


def test_without_training_images_the_validation_images_calibrate(tmp_path, monkeypatch):
    monkeypatch.setattr(clean, "SELECTION_ALONE", 5)
    root = files.val(tmp_path)
    assert clean.untrainable_reason(root) == (
        f"no training images: expected {root}/imagenet/train/<wnid>/*.JPEG, got val/"
    )
    assert torch.equal(clean.train(root).ids, clean.scored(root).ids)
    assert len(clean.val(root)) == 5
    assert set(clean.val(root).ids.tolist()) < set(files.NUMBERS)


def test_the_training_folder_of_another_set_is_not_imagenets(tmp_path):
    """CIFAR's images lie in folders `train` and `test` of the same data root."""
    root = files.val(tmp_path)
    (root / "train" / "airplane").mkdir(parents=True)
    assert f"{root / 'imagenet'}/train/<wnid>/*.JPEG, got val/" in clean.untrainable_reason(root)
    files.train(root)
    assert clean.train_images(root).folder == root / "imagenet" / "train"


@pytest.mark.parametrize("place", ["ILSVRC2012_img_train", "ILSVRC/Data/CLS-LOC/train"])
def test_training_images_elsewhere_are_found_by_a_name_of_their_own(tmp_path, place):
    root = files.val(tmp_path)
    (root / "train" / "airplane").mkdir(parents=True)
    files.train(tmp_path / "made")
    (root / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "made" / "imagenet" / "train").rename(root / place)
    assert clean.train_images(root).folder == root / place


def test_why_nothing_can_be_trained_without_any_folder(tmp_path):
    assert "imagenet/train/<wnid>/*.JPEG, got no such folder" in clean.untrainable_reason(tmp_path)
    assert "pass --data-root" in clean.untrainable_reason(None)


def test_images_wait_for_the_frame_of_a_model(tmp_path):
    data = clean.scored(files.val(tmp_path))
    assert data.transformed(eval_crop(EvalTransform(resize=64, crop=48))).fetch(torch.arange(2)).shape == (
        2,
        3,
        48,
        48,
    )
    assert data.fetch(torch.arange(1)).shape == (1, 3, 224, 224)
