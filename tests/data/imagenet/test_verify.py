"""Planted faults: `verify` finds each, with its cause and its fix; what is only incomplete is partial."""

import shutil
from pathlib import Path

import pytest

from flatqat import registry
from flatqat.data.imagenet import classes, names
from flatqat.finding import Finding
from tests.helpers import imagenet_files as files

C = names.IMAGENET_C
TWO = {1: 65, 2: 970}


def found(suite: str, root: Path) -> list[Finding]:
    findings: list[Finding] = registry.load(registry.SUITES, suite).verify(root)
    return findings


def val_file(root: Path, number: int = 2) -> Path:
    return root / "imagenet" / "val" / classes.wnids()[files.NUMBERS[number]] / files.name(number)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def whole_c(root: Path) -> Path:
    return files.corrupted(files.val(root, TWO) / "imagenet-c", C, TWO)


def flat(root: Path) -> None:
    files.flat_val(root)


def integers(root: Path) -> None:
    files.natural(root / "imagenet" / "val", map(str, range(1, 7)))


def words(root: Path) -> None:
    files.natural(root / "imagenet" / "val", ("tench", "goldfish", "great white shark"))


def truncated(root: Path) -> None:
    cut_off(val_file(files.val(root)))


def empty(root: Path) -> None:
    val_file(files.val(root)).write_bytes(b"")


def too_many(root: Path) -> None:
    files.natural(files.val(root) / "imagenet" / "val", (5,), each=51)


def no_folder(root: Path) -> None:
    root.mkdir(exist_ok=True)


def larger(root: Path) -> None:
    path = whole_c(root) / "snow" / "2" / classes.wnids()[970] / files.name(2)
    files.image(path, (0, 0, 0), (256, 256))


def no_severity(root: Path) -> None:
    shutil.rmtree(whole_c(root) / "snow" / "2")


def other_severities(root: Path) -> None:
    (whole_c(root) / "snow" / "2").rename(root / "imagenet-c" / "snow" / "two")


def no_corruption(root: Path) -> None:
    shutil.rmtree(whole_c(root) / "snow")


def lacking(root: Path) -> None:
    (whole_c(root) / "snow" / "2" / classes.wnids()[970] / files.name(2)).unlink()


def cut_off_c(root: Path) -> None:
    cut_off(whole_c(root) / "snow" / "2" / classes.wnids()[970] / files.name(2))


def no_c(root: Path) -> None:
    files.val(root, TWO)


def wrong_class(root: Path) -> None:
    files.natural(files.val(root) / "imagenet-r", (1, 0))


def text_for_integers(root: Path) -> None:
    files.natural(files.val(root) / "imagenetv2-matched-frequency-format-val", ("0", "one"))


def flat_train(root: Path) -> None:
    files.natural(files.val(root) / "imagenet" / "train", ("0", "1"))


def cut_off_r(root: Path) -> None:
    cut_off(files.natural(files.val(root) / "imagenet-r", (1, 2)) / "n01443537" / "image_0.jpg")


WRONG = {
    "nothing": (
        "imagenet-c-live",
        no_folder,
        "expected the validation images of ImageNet",
        "point --data-root",
    ),
    "flat": ("imagenet-c-live", flat, "got image files and nothing that says their classes", "val.txt"),
    "integers": ("imagenet-c-live", integers, "got numbers (1, 2, 3, 4 and 2 more)", "rename them"),
    "words": ("imagenet-c-live", words, "WordNet ids such as n01440764, got goldfish, great white", "rename"),
    "truncated": (
        "imagenet-c-live",
        truncated,
        "got 1 that are empty, cut off, damaged or of",
        "restore them",
    ),
    "empty": ("imagenet-c-live", empty, "ILSVRC2012_val_00000002.JPEG", "restore them"),
    "too many": (
        "imagenet-c-live",
        too_many,
        "50 images of each class, got 51 of n01496331",
        "keep only those of",
    ),
    "flat train": (
        "imagenet-c-live",
        flat_train,
        "train: expected class folders named by Word",
        "rename them",
    ),
    "no set": ("imagenet-c", no_c, "expected ImageNet-C as imagenet-c/<corruption>/<severity>", "unpack it"),
    "larger": ("imagenet-c", larger, "expected an image of 224x224, got 256x256", "not resized ones"),
    "severity": ("imagenet-c", no_severity, "five folders of severities, 1 to 5, got 1, 3, 4, 5", "complete"),
    "severities": (
        "imagenet-c",
        other_severities,
        "five folders of severities, 1 to 5, got 1, 3, 4",
        "complete",
    ),
    "corruption": ("imagenet-c", no_corruption, "expected a folder weather/snow/ or snow/", "unpack all"),
    "pair": ("imagenet-c", lacking, "snow/2: expected the 2 images of", "complete the copy"),
    "cut off": ("imagenet-c", cut_off_c, "snow/2: expected complete images, got 1 that", "restore them"),
    "class": (
        "imagenet-r",
        wrong_class,
        "200 classes of ImageNet-R, got 1 others (n01440764)",
        "original folder",
    ),
    "cut off r": ("imagenet-r", cut_off_r, "imagenet-r/n01443537/image_0.jpg", "restore them"),
    "v2": ("imagenet-v2", text_for_integers, "expected class folders 0 to 999, got one", "original folders"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_faults_stop_a_run_with_cause_and_mend(fault, tmp_path):
    suite, plant, cause, fix = WRONG[fault]
    plant(tmp_path)
    stops = [finding for finding in found(suite, tmp_path) if finding.is_fatal]
    assert len(stops) == 1
    assert cause in stops[0].what
    assert fix in stops[0].fix


def some_extra(root: Path) -> None:
    shutil.rmtree(whole_c(root) / "spatter")


def only_matched(root: Path) -> None:
    files.natural(files.val(root) / "imagenet-v2" / "matched-frequency", ("0", "1"))


PARTIAL = {
    "classes": ("imagenet-c-live", files.val, "11 of 1000 classes (no n01443537, n01484850, n01491361"),
    "images": ("imagenet-c-live", files.val, "ImageNet val: 12 of 50,000 images"),
    "no train": ("imagenet-c-live", files.val, "no training images: expected"),
    "part of train": (
        "imagenet-c-live",
        lambda root: files.train(files.val(root)),
        "ImageNet train: 30 of 1,281,167 images, 3 of 1000 classes",
    ),
    "pairs": ("imagenet-c", whole_c, "ImageNet-C: 2 clean images have corrupted copies"),
    "extra": ("imagenet-c", some_extra, "ImageNet-C: no spatter"),
    "r": (
        "imagenet-r",
        lambda root: files.natural(files.val(root) / "imagenet-r", (1, 2)),
        "ImageNet-R: 4 of 30,000 images, 2 of 200 classes (no n01494475",
    ),
    "variants": ("imagenet-v2", only_matched, "ImageNetV2 top-images is missing"),
}


@pytest.mark.parametrize("lack", PARTIAL)
def test_what_is_only_incomplete_is_usable_and_told(lack, tmp_path):
    suite, plant, what = PARTIAL[lack]
    plant(tmp_path)
    findings = found(suite, tmp_path)
    assert not any(finding.is_fatal for finding in findings)
    told = [finding for finding in findings if what in finding.what]
    assert [finding.partial for finding in told] == [True]
    assert told[0].fix


def test_right_data_has_no_wrong_findings(tmp_path):
    """Up to the number of images."""
    whole_c(tmp_path)
    files.train(tmp_path)
    assert [finding.what for finding in found("imagenet-c", tmp_path) if finding.ok] == [
        f"ImageNet val in {tmp_path}/imagenet/val",
        "ImageNet val: 2 files end as images do, 2 of them decode",
        f"ImageNet train in {tmp_path}/imagenet/train",
        "ImageNet train: 30 images decode",
        f"ImageNet-C in {tmp_path}/imagenet-c",
        "ImageNet-C: 19 of 19 corruptions, each at 5 severities, 224x224 in 600 files of each",
    ]
