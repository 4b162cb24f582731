"""Sets of other images: found under their spellings, labeled by their folders, of their classes alone."""

import pytest
import torch

from flatqat.data.imagenet import natural
from flatqat.data.imagenet.names import IMAGENET_A, IMAGENET_R, IMAGENET_SKETCH, IMAGENET_V2
from flatqat.errors import DataError
from tests.helpers import imagenet_files as files

MATCHED = IMAGENET_V2["matched-frequency"]


@pytest.mark.parametrize(
    ("wanted", "folder", "labels"),
    [
        (IMAGENET_R, "imagenet-r", (1, 2)),
        (IMAGENET_R, "ImageNet-R", (1, 2)),
        (IMAGENET_R, ".", (1, 2)),
        (IMAGENET_A, "imagenet-a", (6, 22)),
        (IMAGENET_SKETCH, "sketch", (0, 999)),
        (IMAGENET_SKETCH, "imagenet-sketch", (0, 999)),
        (IMAGENET_SKETCH, "imagenet-sketch/sketch", (0, 999)),
        (MATCHED, "imagenetv2-matched-frequency-format-val", ("2", "10")),
        (MATCHED, "imagenetv2-matched-frequency", ("2", "10")),
        (MATCHED, "imagenet-v2/imagenetv2-matched-frequency-format-val", ("2", "10")),
        (MATCHED, "ImageNetV2/matched-frequency", ("2", "10")),
        (IMAGENET_V2["threshold0.7"], "imagenetv2-threshold0.7-format-val", ("2", "10")),
        (IMAGENET_V2["top-images"], "imagenetv2-top-images-format-val", ("2", "10")),
    ],
)
def test_places(wanted, folder, labels, tmp_path):
    files.natural(tmp_path / folder, labels)
    data = natural.shifted(tmp_path, wanted)
    assert sorted(data.labels.tolist()) == sorted(2 * [int(label) for label in labels])
    assert len(set(data.ids.tolist())) == 4


def test_variants_of_v2_are_told_apart(tmp_path):
    for label, variant in enumerate(IMAGENET_V2):
        files.natural(tmp_path / f"imagenetv2-{variant}-format-val", (str(label),))
    for label, wanted in enumerate(IMAGENET_V2.values()):
        assert set(natural.images(tmp_path, wanted).labels) == {label}


def test_pixels_are_those_of_the_labeled_folder(tmp_path):
    files.natural(tmp_path / "imagenet-r", (1, 2), each=1)
    files.image(tmp_path / "imagenet-r" / "n01443537" / "image_0.jpg", (200, 16, 16))
    data = natural.shifted(tmp_path, IMAGENET_R)
    red = data.fetch(torch.arange(2))[:, 0].float().mean((1, 2))
    assert data.labels[red.argmax()] == files.classes.labels()["n01443537"]
    assert red.max() > 190


@pytest.mark.parametrize(
    ("wanted", "folder", "labels", "cause", "fix"),
    [
        (IMAGENET_R, "imagenet-r", (0, 1), "200 classes of ImageNet-R, got 1 others (n01440764)", "original"),
        (IMAGENET_A, "imagenet-a", (6, 1, 0), "200 classes of ImageNet-A, got 2 others", "original folder"),
        (IMAGENET_R, "imagenet-r", ("0", "1"), "got numbers (0, 1)", "rename them to WordNet ids"),
        (
            IMAGENET_R,
            "imagenet-r",
            ("tench", "goldfish"),
            "WordNet ids such as n01440764, got goldfish",
            "crane",
        ),
        (IMAGENET_SKETCH, "sketch", (0, "n00000001"), "the 1,000 classes of ImageNet, got n00000001", "move"),
        (
            MATCHED,
            "imagenet-v2/matched-frequency",
            ("0", "1000"),
            "class folders 0 to 999, got 1000",
            "original",
        ),
        (IMAGENET_R, "imagenet-c", ("fog",), "expected ImageNet-R as imagenet-r/<wnid>/*.jpg", "--data-root"),
        (IMAGENET_R, "imagenet-r", (), "expected images in class folders, got none", "complete"),
    ],
)
def test_other_folders_are_refused_with_the_cause(wanted, folder, labels, cause, fix, tmp_path):
    files.natural(tmp_path / folder, labels).mkdir(parents=True, exist_ok=True)
    with pytest.raises(DataError) as caught:
        natural.images(tmp_path, wanted)
    assert cause in str(caught.value)
    assert fix in str(caught.value).partition("; ")[2]


def test_absent(tmp_path):
    files.natural(tmp_path / "imagenetv2-top-images-format-val", ("2",))
    gone = {variant for variant, wanted in IMAGENET_V2.items() if natural.is_missing(tmp_path, wanted)}
    assert gone == {"matched-frequency", "threshold0.7"}
