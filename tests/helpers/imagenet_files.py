"""ImageNet and the sets around it as their publishers lay them out, with a dozen made-up images.

Every image is of one color that names it, so that a test can tell which one it sees.
"""

import csv
from collections.abc import Iterable, Mapping
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from flatqat.data.corruptions.names import SEVERITIES
from flatqat.data.imagenet import classes
from flatqat.data.imagenet.names import SIDE, CorruptedSet

# Validation images by number, as they are labeled: the first five, and others of ImageNet-R and ImageNet-A.
IN_R, IN_A = classes.subset("r"), classes.subset("a")
FIRST = {1: 65, 2: 970, 3: 230, 4: 809, 5: 516}
NUMBERS: dict[int, int] = FIRST | {
    293: 0,
    1935: IN_R[3],
    2284: IN_R[3],
    152: IN_R[150],
    258: IN_A[7],
    1168: IN_A[99],
    2663: 999,
}
SIZE = (150, 120)  # of clean images, width and height


def color(number: int, severity: int = 0) -> tuple[int, int, int]:
    """Different by 16 levels or more in one channel, for any two images and severities."""
    place = sorted(NUMBERS).index(number) if number in NUMBERS else number % 12
    return (20 * place + 16, 40 * severity + 16, 128)


def image(path: Path, shade: tuple[int, int, int], size: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(jpeg(shade, size))


@lru_cache(maxsize=256)
def jpeg(shade: tuple[int, int, int], size: tuple[int, int]) -> bytes:
    file = BytesIO()
    Image.new("RGB", size, shade).save(file, "JPEG", quality=95)
    return file.getvalue()


def numbers_seen(images: np.ndarray, severity: int = 0) -> list[int]:
    """Which images these are, uint8 (B, 3, H, W), by the color in the middle."""
    middle = images[:, :, images.shape[2] // 2, images.shape[3] // 2].astype(int)
    shades = {number: np.array(color(number, severity)) for number in NUMBERS}
    return [min(shades, key=lambda number: abs(shades[number] - pixel).max()) for pixel in middle]


def name(number: int) -> str:
    return f"ILSVRC2012_val_{number:08}.JPEG"


def class_folders(
    folder: Path, numbers: Mapping[int, int] = NUMBERS, severity: int = 0, size: tuple[int, int] = SIZE
) -> None:
    for number, label in numbers.items():
        image(folder / classes.wnids()[label] / name(number), color(number, severity), size)


def val(root: Path, numbers: Mapping[int, int] = NUMBERS) -> Path:
    class_folders(root / "imagenet" / "val", numbers)
    return root


def flat_val(root: Path, numbers: Mapping[int, int] = NUMBERS) -> Path:
    for number in numbers:
        image(root / "imagenet" / "val" / name(number), color(number))
    return root


def solution(file: Path, numbers: Mapping[int, int] = NUMBERS) -> None:
    """As Kaggle has it: boxes after the class, several for some images, in no order."""
    with file.open("w", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow(("ImageId", "PredictionString"))
        for number, label in sorted(numbers.items(), reverse=True):
            wnid = classes.wnids()[label]
            rows.writerow((name(number).removesuffix(".JPEG"), f"{wnid} 85 1 499 272 {wnid} 3 3 9 9 "))


def listed(file: Path, numbers: Mapping[int, object] = NUMBERS) -> None:
    """As val.txt of caffe_ilsvrc12."""
    file.write_text("".join(f"{name(number)} {label}\n" for number, label in numbers.items()))


def every_label() -> list[int]:
    """The labels of images 1 to 50,000; those that are not in NUMBERS are made up."""
    return [NUMBERS.get(number, number % classes.COUNT) for number in range(1, 50_001)]


def devkit(folder: Path) -> dict[int, int]:
    """The ground truth in an order of its own, as ILSVRC2012_ID, and meta.mat that translates it.

    Returns ILSVRC2012_ID -> label.
    """
    from scipy.io import savemat

    folder.mkdir(parents=True, exist_ok=True)
    of_id = dict(enumerate(np.random.default_rng(0).permutation(classes.COUNT).tolist(), start=1))
    id_of = {label: number for number, label in of_id.items()}
    lines = (f"{id_of[label]}\n" for label in every_label())
    (folder / "ILSVRC2012_validation_ground_truth.txt").write_text("".join(lines))
    fields = [("ILSVRC2012_ID", object), ("WNID", object), ("words", object), ("num_children", object)]
    rows = [(number, classes.wnids()[label], "words", 0) for number, label in of_id.items()]
    inner = [(1001, "n00001740", "entity", 3)]  # a synset above the classes
    savemat(folder / "meta.mat", {"synsets": np.array(rows + inner, dtype=fields)[:, None]})
    return of_id


def train(root: Path, each: int = 10, labels: Iterable[int] = (0, 5, 999)) -> Path:
    for label in labels:
        wnid = classes.wnids()[label]
        for number in range(each):
            image(root / "imagenet" / "train" / wnid / f"{wnid}_{10_000 + number}.JPEG", color(number))
    return root


def corrupted(
    folder: Path,
    wanted: CorruptedSet,
    numbers: Mapping[int, int] = NUMBERS,
    severities: Iterable[str] = ("1", "2", "3", "4", "5"),
    *,
    grouped: bool = False,
    size: tuple[int, int] = (SIDE, SIDE),
) -> Path:
    for corruption, family in wanted.families.items():
        place = folder / family / corruption if grouped else folder / corruption
        for severity, called in zip(SEVERITIES, severities, strict=True):
            class_folders(place / called, numbers, severity, size)
    return folder


def natural(folder: Path, labels: Iterable[object], each: int = 2, stem: str = "image") -> Path:
    """A folder for each of `labels`: WordNet ids for numbers, the text itself else."""
    for label in labels:
        called = classes.wnids()[label] if isinstance(label, int) else str(label)
        for number in range(each):
            image(folder / called / f"{stem}_{number}.jpg", color(number))
    return folder
