"""The classes of a flat folder of validation images, from a file beside it.

LOC_val_solution.csv                          ImageId,PredictionString, which starts with a WordNet id
val.txt, val_list.txt                         <image> <label>, labels 0 to 999 in the order of WordNet ids
imagenet_2012_validation_synset_labels.txt    line i is the WordNet id of image i
ILSVRC2012_validation_ground_truth.txt        line i is the ILSVRC2012_ID, 1 to 1000, of image i: another
                                              order, which only meta.mat of the same devkit translates
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from flatqat.data.imagenet import classes
from flatqat.data.imagenet.files import stem
from flatqat.data.images.entries import SUFFIXES, has_file, lines_of, suffix
from flatqat.errors import DataError, listed

DEVKIT = ("ILSVRC2012_devkit_t12/data", "devkit/data", "data")


def read(folder: Path, names: Iterable[str], places: Iterable[Path]) -> tuple[list[int], str]:
    """Return the label of each image of `names` in `folder`, from the first file found in `places`.

    Also returns why labels may be in another order: the file has numbers, whose order it does not tell. Empty
    if it has WordNet ids. Raises DataError if there is no file, it counts classes in an unknown order, or it
    lacks an image.
    """
    for place in places:
        for name, reader in _READERS.items():
            for file in (place / name, *(place / below / name for below in DEVKIT)):
                if has_file(file):
                    return _pick(file, reader(file), names)
    raise DataError(
        f"{folder}: expected class folders named by WordNet ids, got image files and nothing that says their "
        f"classes; put one of {', '.join(_READERS)} beside the folder, or sort the images into class folders"
    )


def _pick(file: Path, texts: Mapping[str, str], names: Iterable[str]) -> tuple[list[int], str]:
    stems = [stem(name) for name in names]
    if missing := [stem for stem in stems if stem not in texts]:
        raise DataError(
            f"{file}: expected the class of every image, got none for {len(missing):,} of {len(stems):,}: "
            f"{listed(missing)}; use the file that belongs to these images"
        )
    label_of = {text: _label(file, text) for text in texts.values()}
    chosen = [texts[stem] for stem in stems]
    proven = any(text in classes.labels() for text in chosen)
    doubt = "" if proven else f"{file.name} has numbers, whose order no image proves"
    return [label_of[text] for text in chosen], doubt


def _listed(file: Path) -> dict[str, str]:
    """Return the class of each image: `<image> <class>`, or Kaggle's `<image>,<class> <box> ...`."""
    texts: dict[str, str] = {}
    for line in lines_of(file):
        image, comma, rest = line.partition(",")
        if line.startswith("ImageId,"):
            continue
        row = (image, *rest.split()[:1]) if comma else line.rsplit(maxsplit=1)
        if len(row) != 2 or (not comma and " " in row[0]):
            got, fix = line.strip(), "use val.txt of caffe_ilsvrc12, or Kaggle's LOC_val_solution.csv"
            raise DataError(f"{file}: expected lines of an image and its label, got {got!r}; {fix}")
        name = row[0].strip().replace("\\", "/").rpartition("/")[2]
        name = stem(name) if suffix(name) in SUFFIXES else name
        if texts.setdefault(name, row[1]) != row[1]:
            got = f"{texts[name]} and {row[1]} for {name}"
            raise DataError(f"{file}: expected one class of each image, got {got}; use the original file")
    return texts


def _by_line(file: Path) -> dict[str, str]:
    return _in_turn(line.strip() for line in lines_of(file))


def _ground_truth(file: Path) -> dict[str, str]:
    meta = file.with_name("meta.mat")
    if not has_file(meta):
        raise DataError(_other_order(file))
    of_id = _meta(meta)
    try:
        return _in_turn(of_id[int(line)] for line in lines_of(file))
    except (KeyError, ValueError) as error:
        raise DataError(f"{file}: expected whole numbers from 1 to 1000, got {error}; restore it") from error


def _meta(file: Path) -> dict[int, str]:
    """Return the WordNet id of each ILSVRC2012_ID, for the 1,000 synsets that are classes."""
    from scipy.io import loadmat

    try:
        synsets = loadmat(file, squeeze_me=True)["synsets"]
        pairs = [(int(row["ILSVRC2012_ID"]), str(row["WNID"])) for row in synsets]
    except Exception as error:  # scipy raises half a dozen types on damaged files
        raise DataError(f"{file}: expected meta.mat of the devkit, got {error}; restore it") from error
    return {number: wnid for number, wnid in pairs if number <= classes.COUNT}


def _label(file: Path, text: str) -> int:
    """Return the label of a WordNet id or a number."""
    if text in classes.labels():
        return classes.labels()[text]
    if text.isdecimal() and int(text) < classes.COUNT:
        return int(text)
    if text == str(classes.COUNT):
        raise DataError(_other_order(file))
    expected = "a WordNet id such as n01440764 or a label from 0 to 999"
    raise DataError(f"{file}: expected {expected}, got {text!r}; use the original file")


def _in_turn(texts: Iterable[str]) -> dict[str, str]:
    return {f"ILSVRC2012_val_{number:08}": text for number, text in enumerate(texts, start=1)}


def _other_order(file: Path) -> str:
    return (
        f"{file}: expected labels 0 to 999 in the order of WordNet ids, got numbers 1 to 1000 in an order of "
        "their own; put meta.mat of the ILSVRC2012 devkit beside ILSVRC2012_validation_ground_truth.txt, or "
        "use val.txt of caffe_ilsvrc12 or LOC_val_solution.csv"
    )


_READERS: dict[str, Callable[[Path], dict[str, str]]] = {
    "LOC_val_solution.csv": _listed,
    "val.txt": _listed,
    "val_list.txt": _listed,
    "imagenet_2012_validation_synset_labels.txt": _by_line,
    "ILSVRC2012_validation_ground_truth.txt": _ground_truth,
}
