"""Where each dataset is below the data root: any usual spelling of its folder, or the data root itself."""

from collections.abc import Callable, Iterator
from pathlib import Path

from flatqat.data.imagenet.names import IMAGENET, SETS, ImageSet
from flatqat.data.images.data_root import contents, data_root, plain, visible_folders
from flatqat.data.images.entries import has_folder
from flatqat.errors import DataError

_CLS_LOC = ("Data/CLS-LOC", "ILSVRC/Data/CLS-LOC")  # the layout of Kaggle's archive
SPLITS = {"val": ("val", "validation", "ILSVRC2012_img_val"), "train": ("train", "ILSVRC2012_img_train")}


def find_set(root: Path | None, dataset: ImageSet, looks_right: Callable[[Path], bool]) -> Path:
    """Return the first folder that looks right, else one with its name. Raises DataError if there is none."""
    base = data_root(root, dataset.title)
    parents = (base, *_called(base, dataset.within))
    called = [folder for parent in parents for folder in _called(parent, dataset.folders)]
    right = (folder for folder in (*called, base) if looks_right(folder))
    if (match := next(right, called[0] if called else None)) is not None:
        return match
    fix = "unpack it there, or point --data-root at the folder that holds it"
    raise DataError(f"{base}: expected {dataset.title} as {dataset.layout}, got {contents(base)}; {fix}")


def find_split(root: Path | None, split: str) -> tuple[Path, Path] | None:
    """Return the folder of ImageNet's `train` or `val` and the root it was found in; None if missing.

    If the data root is the folder of another dataset, the folders beside it are searched too. Where `val` is
    in a folder called imagenet, a folder `train` right in the root is that of another dataset.
    """
    homes = list(_homes(root))
    called = any(home != place and any(_folders(home, "val")) for home, place in homes)
    for home, place in homes:
        for folder in _folders(home, split):
            if not (called and folder == place / "train"):
                return folder, place
    return None


def _homes(root: Path | None) -> Iterator[tuple[Path, Path]]:
    """Yield folders that may be ImageNet's, and the root that each was found in."""
    base = data_root(root, "ImageNet")
    beside = any(plain(base.name) in (*image_set.folders, *image_set.within) for image_set in SETS)
    for place in (base, base.parent) if beside else (base,):
        yield from ((home, place) for home in (*_called(place, IMAGENET), place))


def _folders(home: Path, split: str) -> Iterator[Path]:
    """Yield the folders of a split in one that may be ImageNet's."""
    names = ((home / part / name) for part in ("", *_CLS_LOC) for name in SPLITS[split])
    return filter(has_folder, names)


def _called(folder: Path, spellings: tuple[str, ...]) -> Iterator[Path]:
    """Yield folders inside `folder` in the order of their spellings."""
    if spellings:
        inside = [path for path in visible_folders(folder) if plain(path.name) in spellings]
        yield from sorted(inside, key=lambda path: spellings.index(plain(path.name)))
