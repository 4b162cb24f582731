"""Street scenes in the exact layout of their originals, small: CamVid's where they are, else drawn ones."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (96, 48)
"""Width and height in pixels."""

# CamVid's classes as those of Cityscapes, void as 255.
OF_CAMVID = np.full(256, 255, np.uint8)
OF_CAMVID[:11] = 10, 2, 5, 0, 1, 8, 7, 4, 13, 11, 18

# Train ids as the labelIds of Cityscapes: `labels.py` of cityscapesscripts.
LABEL_IDS = np.zeros(256, np.uint8)
LABEL_IDS[:19] = 7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33

Scene = Callable[[int], tuple[Image.Image, Image.Image]]
"""A number to an image and its label map."""


def drawn(at: int, size: tuple[int, int] = SIZE) -> tuple[Image.Image, Image.Image]:
    """Blocks of eight classes, road at the bottom, whose colors tell them, in noise."""
    rng = np.random.default_rng(at)
    blocks = rng.choice([1, 2, 8, 10, 13, 18, 255], size=(4, 6)).astype(np.uint8)
    blocks[-1] = 0
    blocks[0, 0] = 255
    labels = np.asarray(Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST))
    colors = labels[:, :, None].astype(int) * (13, 47, 91) % 256
    noisy = (colors + rng.integers(-20, 20, colors.shape)).clip(0, 255).astype(np.uint8)
    return Image.fromarray(noisy), Image.fromarray(labels)


def of_camvid(folder: Path) -> Scene:
    """CamVid's images made smaller, with the labels of Cityscapes."""
    images = sorted((folder / "train").iterdir())

    def scene(at: int) -> tuple[Image.Image, Image.Image]:
        path = images[at * 7 % len(images)]
        with Image.open(path) as image, Image.open(folder / "trainannot" / f"{path.stem}.png") as labels:
            small = image.convert("RGB").resize(SIZE, Image.Resampling.BILINEAR)
            ids = OF_CAMVID[np.asarray(labels.resize(SIZE, Image.Resampling.NEAREST))]
        return small, Image.fromarray(ids)

    return scene


def cityscapes(
    root: Path,
    *,
    train: tuple[str, ...] = ("aachen", "bochum", "krefeld", "ulm"),
    val: tuple[str, ...] = ("frankfurt", "lindau"),
    each: int = 2,
    scene: Scene = drawn,
) -> Path:
    """`cityscapes` under `root`, with the other maps that lie beside those of train ids."""
    home, number = root / "cityscapes", 0
    for split, cities in (("train", train), ("val", val)):
        for city in cities:
            images, masks = home / "leftImg8bit" / split / city, home / "gtFine" / split / city
            images.mkdir(parents=True)
            masks.mkdir(parents=True)
            for at in range(each):
                name, (image, labels) = f"{city}_{at:06d}_000019", scene(number)
                image.save(images / f"{name}_leftImg8bit.png")
                labels.save(masks / f"{name}_gtFine_labelTrainIds.png")
                label_ids(labels).save(masks / f"{name}_gtFine_labelIds.png")
                image.save(masks / f"{name}_gtFine_color.png")
                (masks / f"{name}_gtFine_polygons.json").write_text("{}")
                number += 1
    return home


def acdc(root: Path, *, each: int = 3, ref: bool = True, scene: Scene = drawn, name: str = "acdc") -> Path:
    """`acdc` under `root`: `each` images a condition, darker than by day, and one more by night."""
    home, number = root / name, 100
    for order, condition in enumerate(("fog", "night", "rain", "snow")):
        for split, mark in (("val", ""), ("val_ref", "_ref")) if ref else (("val", ""),):
            sequence = f"GOPR0{order + 1}75"
            images = home / "rgb_anon" / condition / split / sequence
            masks = home / "gt" / condition / split / sequence
            images.mkdir(parents=True)
            masks.mkdir(parents=True)
            for at in range(each + (condition == "night")):
                stem, (image, labels) = f"{sequence}_frame_{at:06d}", scene(number)
                dim = image if mark else image.point(lambda level: level // 2)
                dim.save(images / f"{stem}_rgb{mark}_anon.png")
                labels.save(masks / f"{stem}_gt{mark}_labelTrainIds.png")
                label_ids(labels).save(masks / f"{stem}_gt{mark}_labelIds.png")
                number += 1
    return home


def flatten(tree: Path, endings: str) -> None:
    """`rsync -a TREE/*/val/*/*ENDING TREE/val/`, the originals removed."""
    flat = tree / "val"
    found = sorted(tree.glob(f"*/val/*/*{endings}"))
    flat.mkdir()
    for path in found:
        path.rename(flat / path.name)
    for condition in ("fog", "night", "rain", "snow"):
        for path in sorted((tree / condition).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (tree / condition).rmdir()


def dark_zurich(root: Path, *, each: int = 3) -> Path:
    home = root / "dark_zurich"
    write(home / "rgb_anon/val/night/GOPR0356", home / "gt/val/night/GOPR0356", "rgb_anon", "gt_", each)
    return home


def nighttime_driving(root: Path, *, each: int = 3) -> Path:
    home = root / "NighttimeDrivingTest"
    masks = home / "gtCoarse_daytime_trainvaltest/test/night"
    write(home / "leftImg8bit/test/night", masks, "leftImg8bit", "gtCoarse_", each)
    return home


def write(images: Path, masks: Path, image_end: str, mask_end: str, each: int) -> None:
    images.mkdir(parents=True)
    masks.mkdir(parents=True)
    for at in range(each):
        image, labels = drawn(200 + at)
        image.save(images / f"GOPR0356_frame_{at:06d}_{image_end}.png")
        labels.save(masks / f"GOPR0356_frame_{at:06d}_{mask_end}labelTrainIds.png")


def bdd100k(root: Path, *, each: int = 3, old: bool = False) -> Path:
    home = root / "bdd100k"
    images = home / ("seg/images/val" if old else "images/10k/val")
    masks = home / ("seg/labels/val" if old else "labels/sem_seg/masks/val")
    images.mkdir(parents=True)
    masks.mkdir(parents=True)
    for at in range(each):
        image, labels = drawn(300 + at)
        name = f"7d{at:06d}-00000000"
        image.save(images / f"{name}.jpg", quality=95)
        labels.save(masks / f"{name}{'_train_id' if old else ''}.png")
    return home


def label_ids(labels: Image.Image) -> Image.Image:
    """Train ids as the ids that Cityscapes is annotated with; what is not scored as 0."""
    return Image.fromarray(LABEL_IDS[np.asarray(labels)])


def relabel(folder: Path, ending: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Every label map below a folder changed."""
    for path in folder.rglob(f"*{ending}"):
        with Image.open(path) as image:
            values = np.asarray(image)
        Image.fromarray(change(values).astype(np.uint8)).save(path)
