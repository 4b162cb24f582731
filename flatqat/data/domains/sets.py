"""The layout of domain generalization datasets: `<set>/<domain>/<class>/<image>`.

Images are in the order of torchvision's ImageFolder: classes sorted by name, files sorted by name, both by
code points. Imports the standard library only.
"""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from flatqat.data.images.data_root import contents, data_root, plain, visible_folders
from flatqat.data.images.entries import image_names
from flatqat.errors import DataError, listed

Part = Literal["in", "out"]
SHIFTED = "labels are the numbers of sorted class folders, so every later label would be off by one"
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
        """The names of the domains, each of which can be left out."""
        return tuple(name for name, _ in self.domains)


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """One domain on disk.

    Attributes:
        name: The domain's name.
        folder: Its folder.
        classes: The names of its classes, sorted.
        images: The names of the images of each class, sorted.
    """

    name: str
    folder: Path
    classes: tuple[str, ...]
    images: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return sum(map(len, self.images))

    def files(self) -> list[tuple[str, int]]:
        """Return the path and the label of every image, in order."""
        return [
            (os.path.join(self.folder, name, image), label)
            for label, (name, images) in enumerate(zip(self.classes, self.images, strict=True))
            for image in images
        ]


def read(root: Path | None, dataset: DomainSet) -> list[Domain]:
    """Return every domain of the dataset, in DomainBed's order. Raises DataError with cause and fix."""
    folder = find(root, dataset)
    domains = [read_domain(folder, name, dataset) for name in dataset.targets]
    check_same_classes(domains, dataset)
    return domains


def find(root: Path | None, dataset: DomainSet) -> Path:
    """Return the folder that holds most domains: the root, a folder with the dataset's name, or one in it."""
    base = data_root(root, dataset.title)
    usual = {plain(name) for name in dataset.folders}
    places = [base]
    for named in (path for path in visible_folders(base) if plain(path.name) in usual):
        places += [named, *visible_folders(named)]
    fullest = max(places, key=lambda place: len(domain_folders(place, dataset)))
    if domain_folders(fullest, dataset):
        return fullest
    expected = f"expected a folder {dataset.folders[0]} with {', '.join(dataset.targets)}"
    place, fix = base, "check --data-root"
    if len(places) > 1:
        place, fix = places[1], "there must be a folder for each domain, with a folder for each class in it"
    raise DataError(f"{place}: {expected}, got {contents(place)}; {fix}")


def domain_folders(folder: Path, dataset: DomainSet) -> dict[str, list[Path]]:
    """Return the folders of each domain that exists; case, spaces, hyphens and underscores do not matter."""
    names = {plain(name): name for name in dataset.targets}
    folders: dict[str, list[Path]] = {}
    for path in visible_folders(folder):
        if (key := plain(path.name)) in names:
            folders.setdefault(names[key], []).append(path)
    return folders


def read_domain(folder: Path, name: str, dataset: DomainSet) -> Domain:
    """List one domain. Raises DataError if it is missing, or its classes are not those of the dataset."""
    places = domain_folders(folder, dataset).get(name, [])
    if not places:
        raise DataError(f"{folder}: expected the domain {name}, got {contents(folder)}; complete the folder")
    if len(places) > 1:
        got = ", ".join(place.name for place in places)
        raise DataError(f"{folder}: expected one folder of the domain {name}, got {got}; remove one")
    (place,) = places
    classes = tuple(path.name for path in visible_folders(place))
    _check_classes(place, classes, dataset)
    images = tuple(_images(place / one) for one in classes)
    return Domain(name=name, folder=place, classes=classes, images=images)


def check_same_classes(domains: list[Domain], dataset: DomainSet) -> None:
    """Raise DataError if a domain has other classes than most, or all have too few or too many."""
    having = Counter(name for domain in domains for name in domain.classes)
    most = {name for name, count in having.items() if 2 * count > len(domains)}
    for domain in domains:
        missing, other = sorted(most - set(domain.classes)), sorted(set(domain.classes) - most)
        if missing or other:
            got = f"extra: {listed(other, 3)}, missing: {listed(missing, 3)}"
            raise DataError(
                f"{domain.folder}: expected the classes of the other domains, got {got}; {SHIFTED}"
            )
    if len(most) != dataset.classes:
        expected, place = f"{dataset.classes} class folders in every domain", domains[0].folder.parent
        raise DataError(f"{place}: expected {expected}, got {len(most)}; complete the folders")


def _check_classes(place: Path, classes: tuple[str, ...], dataset: DomainSet) -> None:
    expected, names = f"{place}: expected {dataset.classes} class folders", ", ".join(dataset.names)
    if not classes:
        raise DataError(f"{expected}, got images without any; sort them into a folder for each class")
    if len(classes) == 1 and visible_folders(place / classes[0]):
        got = f"only {classes[0]} with folders in it, one level too many"
        raise DataError(f"{expected}, got {got}; move them up")
    if dataset.names and all(name.isdecimal() for name in classes):
        low, high = min(map(int, classes)), max(map(int, classes))
        got = f"numbers {low} to {high}{', labels that start at 1' if low == 1 else ''}"
        raise DataError(f"{expected} with the names of the classes, got {got}; name them {names}")
    if dataset.names and set(classes) != set(dataset.names):
        missing = [name for name in dataset.names if name not in classes]
        other = [name for name in classes if name not in dataset.names]
        got = f"extra: {listed(other)}, missing: {listed(missing)}"
        raise DataError(f"{expected}, {names}, got {got}; {SHIFTED}")


def _images(folder: Path) -> tuple[str, ...]:
    if images := image_names(folder, SUFFIXES):
        return tuple(images)
    if inner := visible_folders(folder):
        got = f"the folders {listed([path.name for path in inner], 3)}, one level too many"
        raise DataError(f"{folder}: expected images in it, got {got}; move the images up")
    raise DataError(f"{folder}: expected images, got none; complete the folder")
