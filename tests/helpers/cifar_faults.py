"""Ways to damage a copy of CIFAR-10 or CIFAR-100, each with what is to be said about it."""

import os
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from flatqat.data.cifar.load import load
from flatqat.data.cifar.sets import CIFAR10, CIFAR100, Cifar
from flatqat.data.cifar.verify import verify
from flatqat.errors import DataError
from tests.helpers import cifar_files as files
from tests.helpers.cifar_files import SMALL

Fault = Callable[[Path], Any]

DEEP = np.full((32, 32), 40_000, np.uint16)
NOISE = files.images("test", 1)[0]
GREY = np.zeros((16, 24, 3), np.uint8)


def assert_told(cifar: Cifar, root: Path, message: str, *, times: int = 1) -> None:
    """Loading the test images fails with `message`, and so does `verify`, with as many wrong findings."""
    with pytest.raises(DataError, match=message):
        load(cifar, "test", root)
    bad = [finding for finding in verify(cifar, root) if not finding.ok]
    assert len(bad) == times
    assert all(finding.fix for finding in bad)
    assert re.search(message, f"{bad[-1].what}; {bad[-1].fix}")


def whole(cifar: Cifar, layout: str) -> Fault:
    """What writes a copy that is right."""
    archive, _ = files.ARCHIVES[cifar]
    return {
        "parquet": lambda root: files.parquet(cifar, root / cifar.slug, SMALL),
        "batches": lambda root: files.batches(cifar, root / archive, SMALL),
        "folders": lambda root: files.folders(cifar, root / cifar.slug, SMALL),
    }[layout]


def written(name: str, content: bytes) -> Fault:
    def fault(root: Path) -> None:
        (root / name).unlink(missing_ok=True)
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)

    return fault


def cut(name: str, size: int) -> Fault:
    return lambda root: (root / name).write_bytes((root / name).read_bytes()[:size])


def without(name: str) -> Fault:
    return lambda root: shutil.rmtree(root / name) if (root / name).is_dir() else (root / name).unlink()


class Evil:
    """A pickle of it calls print on loading; a worse one would call anything else."""

    def __reduce__(self):
        return print, ("loaded",)


class Faults:
    """The faults of one set: name -> (layout, what damages it, what loading the test file then says)."""

    def __init__(self, cifar: Cifar, parquet: str, column: str, pickled: str) -> None:
        self.cifar, self.parquet, self.column = cifar, parquet, column
        self.pickled, self.key, self.last = pickled, f"{column}s", len(cifar.classes) - 1
        self.name = cifar.classes[3]  # that of the first test image
        self.folder = f"{cifar.slug}/test/{self.name}"

    def rewrite(self, **columns: object) -> Fault:
        return lambda root: files.parquet(self.cifar, root / self.cifar.slug, SMALL, **columns)

    def labeled(self, **at: int | None) -> Fault:
        """Test labels with other values in some rows: `labeled(r3=10)`."""
        values: list[int | None] = [int(label) for label in files.labels(self.cifar, 200)]
        for row, value in at.items():
            values[int(row[1:])] = value
        return self.rewrite(**{self.column: pa.array(values, pa.int64())})

    def pictured(self, row: int, content: bytes | None) -> Fault:
        """Test images with other bytes in one row."""
        content_of = [{"bytes": files.png(pixels)} for pixels in files.images("test", 200)]
        content_of[row] = {"bytes": content}
        return self.rewrite(img=pa.array(content_of))

    def rebatched(self, change: Callable[[dict[bytes, Any]], object]) -> Fault:
        """A pickle of test images whose dict was changed before."""

        def fault(root: Path) -> None:
            batch = files.batch(self.cifar, "test", SMALL)
            batch = change(batch) or batch
            (root / self.pickled).write_bytes(pickle.dumps(batch, 2))

        return fault

    def of_parquet(self) -> dict[str, tuple[str, Fault, str]]:
        found = {
            "garbage": (written(self.parquet, b"<html>"), "expected a parquet file .* download it again"),
            "git lfs": (
                written(self.parquet, b"version https://git-lfs.github.com/spec/v1\noid"),
                "Git LFS pointer; run git lfs pull",
            ),
            "cut parquet": (cut(self.parquet, 3000), "expected a parquet file"),
            "no struct": (self.rewrite(img=pa.array([b"x"] * 200)), "expected a parquet file of images"),
            "text labels": (
                self.rewrite(**{self.column: pa.array(["cat"] * 200)}),
                "expected a parquet file of images",
            ),
            "no label": (self.labeled(r7=None), f"row 7: expected a value in '{self.column}', got none"),
            "no image": (self.pictured(8, None), "row 8: expected a value in 'img', got none"),
            "label too high": (
                self.labeled(r3=self.last + 1),
                f"row 3: expected labels from 0 to {self.last}, got {self.last + 1}; .* {self.cifar.name}",
            ),
            "label -1": (
                self.labeled(r199=-1), f"row 199: expected labels from 0 to {self.last}, got -1"
            ),
            "damaged image": (self.pictured(0, b"\xff\xd8\xff\xe0 cut"), "row 0: expected a PNG or JPEG"),
            "cut image": (self.pictured(199, files.png(NOISE)[:500]), "row 199: expected a PNG"),
            "empty image": (self.pictured(0, b""), "got 0 bytes that do not decode"),
            "other size": (
                self.pictured(0, files.png(GREY)), "row 0: expected an image of 32x32, got 24x16"
            ),
            "damaged in the middle": (self.pictured(100, files.png(NOISE)[:500]), "row 100: expected a PNG"),
            "other size in the middle": (
                self.pictured(100, files.png(GREY)), "row 100: expected an image of 32x32, got 24x16"
            ),
            "16 bits": (
                self.pictured(100, files.png(DEEP)), "row 100: expected an image of 8 bits a channel, got"
            ),
            "a pipe": (
                lambda root: (without(self.parquet)(root), os.mkfifo(root / self.parquet)),
                "expected a file, got a folder, a pipe or a device",
            ),
            "few rows": (
                lambda root: files.parquet(self.cifar, root / self.cifar.slug, {"test": 60}),
                "expected 200 test images, got 60; complete the copy",
            ),
        }  # fmt: skip
        return {name: ("parquet", *rest) for name, rest in found.items()}

    def of_batches(self) -> dict[str, tuple[str, Fault, str]]:
        found = {
            "cut pickle": (cut(self.pickled, 5000), f"{self.pickled}: expected a pickle of arrays"),
            "evil pickle": (
                written(self.pickled, pickle.dumps(Evil(), 2)),
                r"print, which is refused because",
            ),
            "list in a pickle": (
                self.rebatched(lambda batch: [batch]),
                "expected 'data' .* got no array",
            ),
            "floats in a pickle": (
                self.rebatched(lambda batch: batch.update({b"data": np.zeros((200, 3072), np.float32)})),
                "an array of 'f4' where bytes",
            ),
            "pictures in a pickle": (
                self.rebatched(lambda batch: batch.update({b"data": np.zeros((200, 32, 32, 3), np.uint8)})),
                r"expected 'data' of shape \(n, 3072\), got shape \(200, 32, 32, 3\)",
            ),
            "few labels": (
                self.rebatched(lambda batch: batch.update({self.key.encode(): [0] * 199})),
                f"expected '{self.key}' with 200 integers, got others; unpack it again",
            ),
        }
        return {name: ("batches", *rest) for name, rest in found.items()}

    def of_folders(self) -> dict[str, tuple[str, Fault, str]]:
        image = f"{self.folder}/0_{self.name}.png"
        found = {
            "no class": (
                without(self.folder),
                rf"got extra: none, missing: {self.name}; rename or complete",
            ),
            "other class": (
                written(f"{self.cifar.slug}/test/car/1.png", b""),
                "got extra: car, missing: none",
            ),
            "empty class": (
                lambda root: (without(self.folder)(root), (root / self.folder).mkdir()),
                rf"{self.name}: expected \.png or \.jpg images, got none",
            ),
            "lost image": (without(image), "expected 200 test images, got 199"),
            "a link to nothing": (
                lambda root: (without(image)(root), (root / image).symlink_to("nowhere")),
                f"0_{self.name}.png: expected to read it, got: No such file or directory",
            ),
            "a pipe for an image": (
                lambda root: (without(image)(root), os.mkfifo(root / image)),
                f"0_{self.name}.png: expected a file, got a folder, a pipe or a device",
            ),
            "no image in a file": (written(image, b"GIF"), f"0_{self.name}.png: expected a PNG"),
        }
        return {name: ("folders", *rest) for name, rest in found.items()}

    def all(self) -> dict[str, tuple[str, Fault, str]]:
        return {**self.of_parquet(), **self.of_batches(), **self.of_folders()}


TEN = Faults(CIFAR10, "cifar10/test-00000-of-00001.parquet", "label", "cifar-10-batches-py/test_batch")
HUNDRED = Faults(CIFAR100, "cifar100/test-00000-of-00001.parquet", "fine_label", "cifar-100-python/test")
