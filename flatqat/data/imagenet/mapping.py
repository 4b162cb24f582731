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
from flatqat.errors import DataError, listed

DEVKIT = ("ILSVRC2012_devkit_t12/data", "devkit/data", "data")


def read(folder: Path, names: Iterable[str], places: Iterable[Path]) -> list[int]:
    """Return the label of each image of `names` in `folder`, from the first file found in `places`.

    Raises DataError if there is no file, it counts classes in an unknown order, or it lacks an image.
    """
    for place in places:
        for name, reader in _READERS.items():
            for file in (place / name, *(place / below / name for below in DEVKIT)):
                if file.is_file():
                    return _pick(file, reader(file), names)
    raise DataError(
        f"{folder}: expected class folders named by WordNet ids, got image files and nothing that says their "
        f"classes; put one of {', '.join(_READERS)} beside the folder, or sort the images into class folders"
    )


def _pick(file: Path, labels: Mapping[str, int], names: Iterable[str]) -> list[int]:
    stems = [name.rpartition(".")[0] for name in names]
    if missing := [stem for stem in stems if stem not in labels]:
        raise DataError(
            f"{file}: expected the class of every image, got none for {len(missing):,} of {len(stems):,}: "
            f"{listed(missing)}; use the file that belongs to these images"
        )
    return [labels[stem] for stem in stems]


def _solution(file: Path) -> dict[str, int]:
    rows = (line.split(",") for line in _lines(file)[1:])
    return {row[0]: _label(file, row[1].split()[0] if len(row) > 1 and row[1] else "nothing") for row in rows}


def _listed(file: Path) -> dict[str, int]:
    rows = [line.split() for line in _lines(file)]
    if wrong := next((row for row in rows if len(row) != 2), None):
        got, fix = " ".join(wrong), "use val.txt of caffe_ilsvrc12"
        raise DataError(f"{file}: expected lines of an image and its label, got {got!r}; {fix}")
    return {stem(image): _label(file, text) for image, text in rows}


def _by_line(file: Path) -> dict[str, int]:
    return _in_turn(_label(file, line.strip()) for line in _lines(file))


def _ground_truth(file: Path) -> dict[str, int]:
    meta = file.with_name("meta.mat")
    if not meta.is_file():
        raise DataError(_other_order(file))
    of_id = _meta(meta)
    try:
        return _in_turn(of_id[int(line)] for line in _lines(file))
    except (KeyError, ValueError) as error:
        raise DataError(f"{file}: expected whole numbers from 1 to 1000, got {error}; restore it") from error


def _meta(file: Path) -> dict[int, int]:
    """Return the label of each ILSVRC2012_ID, for the 1,000 synsets that are classes."""
    from scipy.io import loadmat

    try:
        synsets = loadmat(file, squeeze_me=True)["synsets"]
        pairs = [(int(row["ILSVRC2012_ID"]), str(row["WNID"])) for row in synsets]
    except Exception as error:  # scipy raises half a dozen types on damaged files
        raise DataError(f"{file}: expected meta.mat of the devkit, got {error}; restore it") from error
    return {number: _label(file, wnid) for number, wnid in pairs if number <= classes.COUNT}


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


def _in_turn(labels: Iterable[int]) -> dict[str, int]:
    return {f"ILSVRC2012_val_{number:08}": label for number, label in enumerate(labels, start=1)}


def _lines(file: Path) -> list[str]:
    return [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


def _other_order(file: Path) -> str:
    return (
        f"{file}: expected labels 0 to 999 in the order of WordNet ids, got numbers 1 to 1000 in an order of "
        "their own; put meta.mat of the ILSVRC2012 devkit beside ILSVRC2012_validation_ground_truth.txt, or "
        "use val.txt of caffe_ilsvrc12 or LOC_val_solution.csv"
    )


_READERS: dict[str, Callable[[Path], dict[str, int]]] = {
    "LOC_val_solution.csv": _solution,
    "val.txt": _listed,
    "val_list.txt": _listed,
    "imagenet_2012_validation_synset_labels.txt": _by_line,
    "ILSVRC2012_validation_ground_truth.txt": _ground_truth,
}
