"""Which labels the names of images prove, which they refute, and what is told where they do neither."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from flatqat.data.imagenet import clean, known
from flatqat.data.imagenet.verify import verify
from flatqat.errors import DataError
from flatqat.finding import Finding
from tests.helpers import imagenet_files as files
from tests.helpers.loading import load

LATER = {number: label for number, label in files.NUMBERS.items() if number > 5 and label < 999}


def of_class(label: int) -> tuple[int, int, int]:
    """A color of its own for each class."""
    return (label % 10 * 25, label // 10 % 10 * 25, label // 100 * 25)


def classes_seen(images: torch.Tensor) -> list[int]:
    middle = images[:, :, images.shape[2] // 2, images.shape[3] // 2].float()
    colors = torch.tensor([of_class(label) for label in range(1000)]).float()
    return torch.cdist(middle, colors).argmin(1).tolist()


def flat(root: Path, numbers: dict[int, int], shift: int = 0, name=files.name) -> Path:
    """A flat folder of images that show their class, with labels that are `shift` too high."""
    lines = []
    for number, label in numbers.items():
        path = root / "imagenet" / "val" / name(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files.jpeg(of_class(label), files.SIZE))
        lines.append(f"{name(number)} {label + shift}\n")
    (root / "imagenet" / "val.txt").write_text("".join(lines))
    return root


def renamed(number: int) -> str:
    return f"photo_{number}.JPEG"


def doubts(root: Path) -> list[Finding]:
    return [finding for finding in verify(root) if "unproven" in finding.what]


def test_right_labels_of_a_partial_copy_are_right(tmp_path):
    data = clean.scored(flat(tmp_path, LATER))
    assert classes_seen(data.fetch(torch.arange(len(data)))) == data.labels.tolist()
    assert doubts(tmp_path) == []


@pytest.mark.parametrize("shift", [1, -1, 5])
def test_any_other_count_is_refuted_by_a_single_image(tmp_path, shift):
    """Without the first images, and without a label that is out of range."""
    root = flat(tmp_path, {1935: LATER[1935]}, shift)
    with pytest.raises(DataError, match="got another for 1 of 1 that are known by name"):
        clean.scored_images(root)
    assert any(finding.is_fatal for finding in verify(root))


def test_labels_of_shuffled_images_are_refuted(tmp_path):
    numbers = dict(zip(LATER, reversed(LATER.values()), strict=True))
    with pytest.raises(DataError, match="known by name"):
        clean.scored_images(flat(tmp_path, numbers))


@pytest.mark.parametrize("shift", [0, 1])
def test_numbers_for_images_without_known_names_are_doubtful(tmp_path, shift):
    """Right or off by one: nothing tells, so both are told."""
    (doubt,) = doubts(flat(tmp_path, LATER, shift, renamed))
    assert doubt.partial
    assert "val.txt has numbers, whose order no image proves" in doubt.what
    with pytest.raises(DataError, match="expected images whose classes are certain"):
        clean.corruptible(tmp_path / "imagenet" / "val")


def test_wordnet_ids_leave_no_doubt(tmp_path):
    root = flat(tmp_path, LATER, 0, renamed)
    wnids = {number: files.classes.wnids()[label] for number, label in LATER.items()}
    text = "".join(f"{renamed(number)} {wnid}\n" for number, wnid in wnids.items())
    (root / "imagenet" / "val.txt").write_text(text)
    assert doubts(root) == []


def test_names_that_begin_with_a_wordnet_id_prove_labels(tmp_path):
    """As those of training images do."""
    wnids = files.classes.wnids()

    def name(number: int) -> str:
        return f"{wnids[LATER[number]]}_{number}.JPEG"

    assert doubts(flat(tmp_path / "right", LATER, 0, name)) == []
    with pytest.raises(DataError, match="got another for 6 of 6 that are known by name"):
        clean.scored_images(flat(tmp_path / "wrong", LATER, 1, name))


@pytest.mark.parametrize(("folders", "told"), [(("0", "3"), 0), (("1", "3"), 1), (("n01443537",), 0)])
def test_numbered_folders_without_0_are_doubtful(tmp_path, folders, told):
    files.natural(files.val(tmp_path) / "imagenetv2-matched-frequency-format-val", folders)
    findings = load("imagenet-v2").verify(tmp_path)
    found = [finding for finding in findings if "none is 0: they may count from 1" in finding.what]
    assert [finding.partial for finding in found] == [True] * told


def test_checks_agree_with_labels_made_by_others():
    """timm holds the ReaL labels of all validation images; 90% of them contain the original one."""
    timm = pytest.importorskip("timm")
    file = Path(timm.__file__).parent / "data" / "_info" / "imagenet_real_labels.json"
    real = json.loads(file.read_text())
    checks = known._val_checks().tolist()
    assert len(checks) == len(real) == 50_000
    agree = [
        check in {label % known.MODULUS for label in labels}
        for check, labels in zip(checks, real, strict=True)
        if labels
    ]
    assert np.mean(agree) == pytest.approx(0.9, abs=0.01)  # 0.90 of the labels themselves


def test_checks_are_those_of_fifty_images_of_each_class():
    expected = np.bincount(np.arange(1000) % known.MODULUS) * 50
    assert np.bincount(known._val_checks()).tolist() == expected.tolist()
