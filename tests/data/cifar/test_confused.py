"""One set, or one kind of labels, where another is needed: refused, and the cause is named."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from flatqat.data.cifar.sets import CIFAR10, CIFAR100, Cifar
from tests.helpers import cifar_files as files
from tests.helpers.cifar_faults import HUNDRED, TEN, Fault, assert_told, whole
from tests.helpers.cifar_files import SMALL

pytestmark = pytest.mark.usefixtures("small_counts")

FINE, COARSE = files.labels(CIFAR100, 200), files.COARSE[files.labels(CIFAR100, 200)]
OF_TEN = files.labels(CIFAR10, 200)
IS_TEN = (
    "expected labels from 0 to 99, got 0 to 9, which are the labels of CIFAR-10; use the labels of the 100"
)
IS_COARSE = (
    "expected labels from 0 to 99, got 0 to 19, which are the coarse labels of CIFAR-100.*; use the labels"
)


def exchanged(key: bytes, labels: np.ndarray) -> Callable[[dict[bytes, Any]], object]:
    return lambda batch: batch.update({key: labels.tolist()})


def renamed(old: bytes, new: bytes) -> Callable[[dict[bytes, Any]], object]:
    return lambda batch: batch.update({new: batch.pop(old)})


def other_folders(source: Cifar, target: Cifar) -> Fault:
    """The class folders of one set under the name of the other."""

    def fault(root: Path) -> None:
        shutil.rmtree(root / target.slug)
        files.folders(source, root / target.slug, SMALL)

    return fault


def superclasses(root: Path) -> None:
    """train/fish/trout/1.png, as converters write it that keep both labels."""
    for split in SMALL:
        for name, coarse in zip(CIFAR100.classes, files.COARSE, strict=True):
            folder = root / "cifar100" / split
            (folder / f"superclass_{coarse}").mkdir(exist_ok=True)
            (folder / name).rename(folder / f"superclass_{coarse}" / name)


#: One set, or one kind of labels, where the other is needed.
CONFUSED = {
    CIFAR10: {
        "columns of CIFAR-100": (
            "parquet",
            TEN.rewrite(label=None, fine_label=pa.array(FINE), coarse_label=pa.array(COARSE)),
            "expected the columns 'img' and 'label', got img, fine_label, coarse_label; this is another",
        ),
        "labels of CIFAR-100": (
            "parquet",
            TEN.rewrite(label=pa.array(FINE)),
            "row 1: expected labels from 0 to 9, got 10; check that this is CIFAR-10 and not CIFAR-100",
        ),
        "pickle of CIFAR-100": (
            "batches",
            TEN.rebatched(lambda batch: files.batch(CIFAR100, "test", SMALL)),
            "expected 'labels' with 200 integers, got batch_label, coarse_labels, data, filenames, "
            "fine_labels; this is another dataset",
        ),
        "folders of CIFAR-100": (
            "folders",
            other_folders(CIFAR100, CIFAR10),
            "each of airplane, .*, truck, got extra: apple, .*, bottle and 90 more, missing: "
            "airplane, .*, truck; "
            "these classes are those of another dataset",
        ),
    },
    CIFAR100: {
        "columns of CIFAR-10": (
            "parquet",
            HUNDRED.rewrite(fine_label=None, coarse_label=None, label=pa.array(OF_TEN)),
            "expected the columns 'img' and 'fine_label', got img, label; this is another",
        ),
        "coarse column alone": (
            "parquet",
            HUNDRED.rewrite(fine_label=None),
            "expected the columns 'img' and 'fine_label', got img, coarse_label; this is another",
        ),
        "labels of CIFAR-10": ("parquet", HUNDRED.rewrite(fine_label=pa.array(OF_TEN)), IS_TEN),
        "coarse labels": ("parquet", HUNDRED.rewrite(fine_label=pa.array(COARSE)), IS_COARSE),
        "pickle of CIFAR-10": (
            "batches",
            HUNDRED.rebatched(lambda batch: files.batch(CIFAR10, "test", {"test": 200})),
            "expected 'fine_labels' with 200 integers, got batch_label, data, filenames, labels; this is",
        ),
        "pickle without fine labels": (
            "batches",
            HUNDRED.rebatched(renamed(b"fine_labels", b"labels")),
            "got batch_label, coarse_labels, data, filenames, labels; this is another",
        ),
        "pickle with the labels of CIFAR-10": (
            "batches",
            HUNDRED.rebatched(exchanged(b"fine_labels", OF_TEN)),
            IS_TEN,
        ),
        "pickle with coarse labels": (
            "batches",
            HUNDRED.rebatched(exchanged(b"fine_labels", COARSE)),
            IS_COARSE,
        ),
        "folders of CIFAR-10": (
            "folders",
            other_folders(CIFAR10, CIFAR100),
            "each of apple, .*, bottle and 90 more, got extra: airplane, .*, truck, missing: apple, "
            ".* 90 more; "
            "these classes are those of another dataset",
        ),
        "folders of superclasses": (
            "folders",
            superclasses,
            "got extra: superclass_0, .* 10 more, missing: apple, .* 90 more; "
            "these classes are those of another dataset",
        ),
        "crab without its b": (
            "folders",
            lambda root: (root / "cifar100/test/crab").rename(root / "cifar100/test/cra"),
            "got extra: cra, missing: crab; rename",
        ),
    },
}


@pytest.mark.parametrize(
    ("cifar", "name"),
    [pytest.param(cifar, name, id=f"{cifar.name}, {name}") for cifar in CONFUSED for name in CONFUSED[cifar]],
)
def test_what_is_not_this_set_is_refused(tmp_path: Path, cifar: Cifar, name: str) -> None:
    layout, fault, message = CONFUSED[cifar][name]
    whole(cifar, layout)(tmp_path)
    fault(tmp_path)
    assert_told(
        cifar, tmp_path, message, times=2 if "folders of" in name else 1
    )  # both splits, or test alone
