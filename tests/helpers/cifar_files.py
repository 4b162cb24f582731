"""CIFAR-10 and CIFAR-100 as they are published, with made-up images that name their split and their place."""

import io
import pickle
import struct
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from flatqat.data.cifar.sets import CIFAR10, CIFAR100, Cifar

SMALL = {"train": 200, "test": 200}

#: Folder and pickles of the original archives.
ARCHIVES: dict[Cifar, tuple[str, dict[str, list[str]]]] = {
    CIFAR10: (
        "cifar-10-batches-py",
        {"test": ["test_batch"], "train": [f"data_batch_{number}" for number in range(1, 6)]},
    ),
    CIFAR100: ("cifar-100-python", {"test": ["test"], "train": ["train"]}),
}

#: Fine label -> coarse label of CIFAR-100, as published.
COARSE = np.array(
    [
        4, 1, 14, 8, 0, 6, 7, 7, 18, 3, 3, 14, 9, 18, 7, 11, 3, 9, 7, 11, 6, 11, 5, 10, 7,
        6, 13, 15, 3, 15, 0, 11, 1, 10, 12, 14, 16, 9, 11, 5, 5, 19, 8, 8, 15, 13, 14, 17, 18, 10,
        16, 4, 17, 4, 2, 0, 17, 4, 18, 17, 10, 3, 2, 12, 12, 16, 12, 1, 9, 19, 2, 10, 0, 1, 16,
        12, 9, 13, 15, 13, 16, 19, 2, 4, 6, 19, 5, 5, 8, 19, 18, 1, 2, 15, 6, 0, 17, 8, 14, 13,
    ]
)  # fmt: skip


def images(split: str, count: int) -> np.ndarray:
    """uint8 (count, 32, 32, 3): noise in the left half, the split and the place of the image in the right."""
    rng = np.random.default_rng(len(split))
    out = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    place = np.arange(count)
    out[:, :, 16:, 0] = len(split)
    out[:, :, 16:, 1] = (place // 256)[:, None, None]
    out[:, :, 16:, 2] = (place % 256)[:, None, None]
    return out


def labels(cifar: Cifar, count: int) -> np.ndarray:
    """As many of each class, in no simple order."""
    return (7 * np.arange(count) + 3) % len(cifar.classes)


def annotations(cifar: Cifar, count: int) -> dict[str, np.ndarray]:
    """What the parquet files say of each image: the label, or a fine and a coarse one."""
    found = labels(cifar, count)
    return {"label": found} if cifar is CIFAR10 else {"fine_label": found, "coarse_label": COARSE[found]}


def png(pixels: np.ndarray, form: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form)
    return out.getvalue()


def parquet(cifar: Cifar, folder: Path, counts: dict[str, int], shards: int = 1, **columns: Any) -> None:
    """The Hub's layout: `img` a struct of bytes and path, labels int64. `columns` replaces test columns."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in counts.items():
        content = [png(pixels) for pixels in images(split, count)]
        for shard, part in enumerate(np.array_split(np.arange(count), shards)):
            table = {
                "img": pa.array(
                    [{"bytes": content[at], "path": f"{at}.png"} for at in part],
                    pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
                ),
                **{
                    name: pa.array(values[part], pa.int64())
                    for name, values in annotations(cifar, count).items()
                },
                **(columns if split == "test" else {}),
            }
            table = {name: column for name, column in table.items() if column is not None}
            pq.write_table(pa.table(table), folder / f"{split}-{shard:05}-of-{shards:05}.parquet")


def batch(cifar: Cifar, split: str, counts: dict[str, int], number: int = 0) -> dict[bytes, Any]:
    """One file of the original archive, before pickling: the keys are the columns in the plural."""
    at = np.array_split(np.arange(counts[split]), len(ARCHIVES[cifar][1][split]))[number]
    return {
        b"batch_label": b"training batch 1 of 5",
        **{
            f"{name}s".encode(): [int(value) for value in values[at]]
            for name, values in annotations(cifar, counts[split]).items()
        },
        b"data": images(split, counts[split])[at].transpose(0, 3, 1, 2).reshape(len(at), -1),
        b"filenames": [f"image_{i}.png".encode() for i in at],
    }


class Python2Pickler(pickle._Pickler):
    """Writes what Python 2 wrote: byte strings as such, and numpy's functions under their names of then."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_bytes(self, value: bytes) -> None:
        short = len(value) < 256
        head = b"U" + bytes([len(value)]) if short else b"T" + struct.pack("<i", len(value))
        self.write(head + value)
        self.memoize(value)

    def save_global(self, value: Any, name: str | None = None) -> None:
        module = value.__module__.replace("numpy._core", "numpy.core")
        self.write(f"c{module}\n{name or value.__name__}\n".encode())
        self.memoize(value)

    dispatch[bytes] = save_bytes
    dispatch[type(np.ndarray)] = save_global
    dispatch[type(batch)] = save_global
    dispatch[type(len)] = save_global


def batches(cifar: Cifar, folder: Path, counts: dict[str, int], python: int = 2) -> None:
    """The folder of the original archive, pickled by Python 2 as it was, or again by Python 3."""
    folder.mkdir(parents=True, exist_ok=True)
    pickler = Python2Pickler if python == 2 else pickle.Pickler
    for split in counts:
        for number, name in enumerate(ARCHIVES[cifar][1][split]):
            with (folder / name).open("wb") as file:
                pickler(file, 2).dump(batch(cifar, split, counts, number))


def folders(
    cifar: Cifar, folder: Path, counts: dict[str, int], numbered: str = "overall", form: str = "PNG"
) -> None:
    """A folder a class. Names carry the place over all classes (`12_cat.png`) or within one (`2.png`)."""
    for split, count in counts.items():
        seen = dict.fromkeys(range(len(cifar.classes)), 0)
        for at, (pixels, label) in enumerate(zip(images(split, count), labels(cifar, count), strict=True)):
            name = f"{at}_{cifar.classes[label]}" if numbered == "overall" else f"{seen[label]}"
            seen[label] += 1
            path = folder / split / cifar.classes[label] / f"{name}.{form.lower()}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(pixels, form))
