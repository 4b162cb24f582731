"""Small pictures beside the results of a segmentation suite: reports show them without weights and data.

    RESULTS/data/<suite>/<shift>.npz        a few images of a shift, as JPEG, and their truth
    RESULTS/pictures/<suite>/<label>.npz    what a cell predicts of them, and the SHA-256 of its outcomes

For all cells the images are the same ones of a shift, those of `ImageData.sample(COUNT)`, and are called by
their place in it. A small label map has some pixels of the large one, never a mean. No number of a record is
made from pictures, and a record without any is complete.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flatqat.bench.records.files import Arrays, arrays_as_bytes, read_arrays, remove_file, write_atomically
from flatqat.errors import StoreError, Vanished
from flatqat.spec import Cell, Record

COUNT = 3
"""The images of each shift that pictures are kept of."""
LONGEST = 240
"""The longer side of a picture in pixels, at most."""
MOST_SHIFTS, MIDDLE_SEVERITY = 12, 3
MOST_BYTES = 4 * LONGEST**2  # of one array in a file
JPEG_QUALITY = 85
OF = "of"
Labels = NDArray[np.uint8]
"""A label map (H, W): a class for every pixel, IGNORED where there is none."""
Predicted = Mapping[str, Mapping[int, Labels]]
"""What a cell predicts, by shift and by the place of the image in it."""
NOTHING: Predicted = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenImage:
    """An image as JPEG, and its truth of the same size."""

    image: bytes
    truth: Labels


def few(severities: Mapping[str, int | None]) -> list[str]:
    """Return the shifts to show, out of severities by name: all, or of many those of the middle severity."""
    middle = [name for name, severity in severities.items() if severity in (None, MIDDLE_SEVERITY)]
    return list(severities) if len(severities) <= MOST_SHIFTS else middle


def kept_pixels(height: int, width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows and columns that a small picture has: those nearest to the centers of its pixels.

    Their numbers are in the ratio of the sides, and `LONGEST` at most.
    """
    factor = max(1.0, max(height, width) / LONGEST)
    rows, columns = (
        ((np.arange(count) + 0.5) * side / count).astype(np.int64)
        for side in (height, width)
        for count in (max(1, round(side / factor)),)
    )
    return rows, columns


def as_jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """Return an RGB image (H, W, 3) as a small JPEG, each pixel the mean of those it stands for."""
    from PIL import Image

    rows, columns = kept_pixels(*pixels.shape[:2])
    small = Image.fromarray(pixels).resize((len(columns), len(rows)), Image.Resampling.BOX)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return buffer.getvalue()


class Pictures:
    """The pictures in a results folder. Reading executes no code, and takes the memory of small pictures."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, cell: Cell) -> Path:
        """Return where the predictions of a cell are."""
        return Path(self._root, "pictures", cell.suite, f"{cell.label}.npz")

    def paths(self) -> list[Path]:
        """Return where all predictions are, sorted."""
        return sorted(self._root.glob("pictures/*/*.npz"))

    def write(self, record: Record, predicted: Predicted) -> None:
        """Store what the cell of a record predicts; what was there before is removed in any case."""
        path = self.path(record.cell)
        if not any(predicted.values()):
            remove_file(path)
            return
        arrays: Arrays = {f"{shift}/{at}": map_ for shift, of in predicted.items() for at, map_ in of.items()}
        write_atomically(path, arrays_as_bytes({**arrays, OF: np.array(record.outcomes_sha256)}))

    def read(self, record: Record) -> dict[str, dict[int, Labels]]:
        """Return what the cell of a record predicts; empty where that is not stored, or of other outcomes.

        Raises StoreError if it is damaged.
        """
        path = self.path(record.cell)
        try:
            arrays = read_arrays(path, most=MOST_BYTES)
        except Vanished:
            return {}
        of = str(arrays.pop(OF, ""))
        if not of or of != record.outcomes_sha256:
            return {}
        found: dict[str, dict[int, Labels]] = {}
        for key, labels in arrays.items():
            shift, _, at = key.rpartition("/")
            found.setdefault(shift, {})[_place(at, path)] = _small(labels, path)
        return found

    def seen_paths(self) -> list[Path]:
        """Return where all images and truths are, sorted."""
        return sorted(self._root.glob("data/*/*.npz"))

    def seen(self, key: str, shift: str) -> dict[int, SeenImage]:
        """Return the images of a shift by their place in it; empty if none are stored.

        `key` is that of the suite's data. Raises StoreError if they are damaged.
        """
        if not {self.seen_path(key, shift)} & {*self.seen_paths()}:
            return {}
        return self.read_seen(self.seen_path(key, shift))

    def read_seen(self, path: Path) -> dict[int, SeenImage]:
        """Return the images in a file; empty if there is none. Raises StoreError if it is damaged."""
        try:
            arrays = read_arrays(path, most=MOST_BYTES)
        except Vanished:
            return {}
        places = [key.removeprefix("image/") for key in arrays if key.startswith("image/")]
        if {f"{kind}/{at}" for at in places for kind in ("image", "truth")} != set(arrays):
            raise _damaged(path, "an image and its truth for each place", ", ".join(arrays))
        return {_place(at, path): _pair(arrays[f"image/{at}"], arrays[f"truth/{at}"], path) for at in places}

    def add_seen(self, key: str, shift: str, seen: Mapping[int, SeenImage]) -> None:
        """Store images of a shift beside those that are there."""
        self.add_to(self.seen_path(key, shift), seen)

    def add_to(self, path: Path, seen: Mapping[int, SeenImage]) -> None:
        """Store images in a file beside those that are there."""
        try:
            known = self.read_seen(path)
        except StoreError:  # damaged; these replace them
            known = {}
        if set(seen) <= set(known):
            return
        arrays: Arrays = {}
        for at, one in sorted({**seen, **known}.items()):
            arrays |= {f"image/{at}": np.frombuffer(one.image, np.uint8), f"truth/{at}": one.truth}
        write_atomically(path, arrays_as_bytes(arrays))

    def seen_path(self, key: str, shift: str) -> Path:
        """Return where the images of a shift are, if they are stored."""
        return Path(self._root, "data", key, f"{shift.replace('/', '@')}.npz")


def _pair(image: Labels, truth: Labels, path: Path) -> SeenImage:
    """Return an image with its truth. Raises StoreError if it is not a JPEG of that size by its header."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(image.tobytes()), formats=["JPEG"]) as opened:
            width, height = opened.size
    except Exception as error:  # whatever Pillow makes of damaged bytes
        raise _damaged(path, "a JPEG image", f"other bytes ({type(error).__name__})") from error
    if (height, width) != _small(truth, path).shape:
        raise _damaged(path, "an image and a truth of one size", f"{(height, width)} and {truth.shape}")
    return SeenImage(image=image.tobytes(), truth=truth)


def _small(labels: Labels, path: Path) -> Labels:
    if (
        labels.dtype != np.uint8
        or labels.ndim != 2
        or not 1 <= min(labels.shape) <= max(labels.shape) <= LONGEST
    ):
        raise _damaged(
            path, f"label maps, uint8, with sides of 1 to {LONGEST}", f"{labels.dtype} {labels.shape}"
        )
    return labels


def _place(text: str, path: Path) -> int:
    if not (text.isascii() and text.isdigit()):
        raise _damaged(path, "the place of an image", repr(text))
    return int(text)


def _damaged(path: Path, expected: str, got: str) -> StoreError:
    return StoreError(
        f"{path}: expected {expected}, got {got}; delete it and run the cell again with --rerun"
    )
