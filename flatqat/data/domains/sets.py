"""The layout of domain generalization sets: `<set>/<domain>/<class>/<image>`.

Images are in the order of torchvision's ImageFolder: classes sorted by name, files sorted by name, both by
code points. Standard library only.
"""

import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from flatqat.data.images.data_root import contents, data_root
from flatqat.errors import DataError

Part = Literal["in", "out"]
SHIFTED = "labels are the numbers of sorted class folders, so that every later label would be off by one"
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainSet:
    """A dataset of several domains: its folders, domains and classes.

    Attributes:
        title: The dataset's name.
        folders: The usual names of its folder; the first one is shown to users.
        domains: Pairs of a domain and its published number of images, in DomainBed's order.
        classes: The number of classes.
        names: The classes in order. If empty, only their number is checked and that all domains share them.
        totals: Total numbers of images in other copies in circulation.
        surplus: Why a copy may hold more images than were published.
        label_files: A glob pattern of lists of `<domain>/<class>/<image> <label>` that come with the images.
    """

    title: str
    folders: tuple[str, ...]
    domains: tuple[tuple[str, int], ...]
    classes: int
    names: tuple[str, ...] = ()
    totals: tuple[int, ...] = ()
    surplus: str = ""
    label_files: str = ""

    @property
    def targets(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.domains)


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """One domain on disk: its classes, and the names of the images of each, in order."""

    name: str
    folder: Path
    classes: tuple[str, ...]
    images: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return sum(map(len, self.images))

    def files(self) -> list[tuple[str, int]]:
        """The path and the label of every image, in order."""
        return [
            (os.path.join(self.folder, name, image), label)
            for label, (name, images) in enumerate(zip(self.classes, self.images, strict=True))
            for image in images
        ]


def read(root: Path | None, dataset: DomainSet) -> list[Domain]:
    """Every domain of the set, in DomainBed's order. Raises DataError with cause and mend."""
    folder = find(root, dataset)
    domains = [read_domain(folder, name, dataset) for name in dataset.targets]
    check_same_classes(domains, dataset)
    return domains


def find(root: Path | None, dataset: DomainSet) -> Path:
    """The folder that holds most of the domains: the root, a folder of the set's name, or one within it."""
    base = data_root(root, dataset.title)
    usual = {plain(name) for name in dataset.folders}
    places = [base]
    for named in (path for path in _folders(base) if plain(path.name) in usual):
        places += [named, *_folders(named)]
    found = max(places, key=lambda place: len(domain_folders(place, dataset)))
    if domain_folders(found, dataset):
        return found
    expected = f"expected a folder {dataset.folders[0]} with {', '.join(dataset.targets)}"
    if len(places) == 1:
        raise DataError(f"{base}: {expected}, got {contents(base)}; check --data-root")
    raise DataError(
        f"{places[1]}: {expected}, got {contents(places[1])}; there must be one folder a domain, with one "
        "folder a class in it"
    )


def domain_folders(folder: Path, dataset: DomainSet) -> dict[str, list[Path]]:
    """The folders of those domains that are there; case, spaces, hyphens and underscores do not matter."""
    names = {plain(name): name for name in dataset.targets}
    found: dict[str, list[Path]] = {}
    for path in _folders(folder):
        if (key := plain(path.name)) in names:
            found.setdefault(names[key], []).append(path)
    return found


def read_domain(folder: Path, name: str, dataset: DomainSet) -> Domain:
    """One domain. Raises DataError where it is missing, or its classes are not those of the set."""
    places = domain_folders(folder, dataset).get(name, [])
    if not places:
        raise DataError(f"{folder}: expected the domain {name}, got {contents(folder)}; complete the folder")
    if len(places) > 1:
        got = ", ".join(place.name for place in places)
        raise DataError(f"{folder}: expected one folder of the domain {name}, got {got}; remove one")
    (place,) = places
    classes = tuple(path.name for path in _folders(place))
    _check_classes(place, classes, dataset)
    images = tuple(_images(place / one) for one in classes)
    return Domain(name=name, folder=place, classes=classes, images=images)


def check_same_classes(domains: list[Domain], dataset: DomainSet) -> None:
    """Raise DataError where a domain has other classes than most of them, or all have too few or too many."""
    having = Counter(name for domain in domains for name in domain.classes)
    most = {name for name, count in having.items() if 2 * count > len(domains)}
    for domain in domains:
        missing, other = sorted(most - set(domain.classes)), sorted(set(domain.classes) - most)
        if missing or other:
            raise DataError(
                f"{domain.folder}: expected the classes of the other domains, got "
                f"{', '.join(other[:3]) or 'none'} besides and {', '.join(missing[:3]) or 'none'} missing; "
                f"{SHIFTED}"
            )
    if len(most) != dataset.classes:
        raise DataError(
            f"{domains[0].folder.parent}: expected {dataset.classes} class folders in every domain, "
            f"got {len(most)}; complete the folders"
        )


def plain(name: str) -> str:
    """`Real World`, `Real_World` and `real-world` alike."""
    return re.sub(r"[\W_]", "", name).lower()


def _check_classes(place: Path, classes: tuple[str, ...], dataset: DomainSet) -> None:
    expected = f"{place}: expected {dataset.classes} class folders"
    if not classes:
        raise DataError(f"{expected}, got images without any; sort them into one folder a class")
    if len(classes) == 1 and _folders(place / classes[0]):
        raise DataError(
            f"{expected}, got {classes[0]} alone with folders in it, a level too many; move them up"
        )
    if dataset.names and all(name.isdecimal() for name in classes):
        low, high = min(map(int, classes)), max(map(int, classes))
        raise DataError(
            f"{expected} with the names of the classes, got numbers {low} to {high}"
            + (", labels that start at 1" if low == 1 else "")
            + f"; name them {', '.join(dataset.names)}"
        )
    if dataset.names and set(classes) != set(dataset.names):
        missing = [name for name in dataset.names if name not in classes]
        other = [name for name in classes if name not in dataset.names]
        raise DataError(
            f"{expected}, {', '.join(dataset.names)}, got {', '.join(other) or 'none'} besides and "
            f"{', '.join(missing) or 'none'} missing; {SHIFTED}"
        )


def _folders(folder: Path) -> list[Path]:
    found = (path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return sorted(found, key=lambda path: path.name)


def _images(folder: Path) -> tuple[str, ...]:
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if not entry.name.startswith(".")]
    found = sorted(name for name in names if os.path.splitext(name)[1].lower() in SUFFIXES)
    if found:
        return tuple(found)
    if inner := _folders(folder):
        raise DataError(
            f"{folder}: expected images in it, got the folders {', '.join(path.name for path in inner[:3])}, "
            "a level too many; move the images up"
        )
    raise DataError(f"{folder}: expected images, got none; complete the folder")
