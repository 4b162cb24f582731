"""The embedded digits: exact enlargement, a fixed split, and what is said when they are damaged."""

import subprocess
import sys

import numpy as np
import pytest
import sklearn.datasets
import torch

from flatqat.data import digits
from flatqat.errors import DataError

PARTS: tuple[digits.Part, ...] = ("train", "val", "test")


def enlarge(small: np.ndarray) -> np.ndarray:
    """Bilinear, written as a matrix: pixel i of 32 looks at (i + 1/2)/4 - 1/2 of 8, edges repeated."""
    matrix = np.zeros((32, 8))
    for i in range(32):
        at = (i + 0.5) / 4 - 0.5
        low = int(np.floor(at))
        matrix[i, max(low, 0)] += 1 - (at - low)
        matrix[i, min(low + 1, 7)] += at - low
    return matrix @ small @ matrix.T


def test_every_pixel_is_the_exact_bilinear_value() -> None:
    small, labels = sklearn.datasets.load_digits(return_X_y=True)
    for part in PARTS:
        data = digits.load(part)
        got = data.fetch(torch.arange(len(data)))
        expected = np.round(enlarge(small.reshape(-1, 8, 8)[data.ids]) * 255 / 16).astype(np.uint8)
        assert got.dtype == torch.uint8
        assert all(np.array_equal(got[:, channel], expected) for channel in range(3))
        assert np.array_equal(data.labels, labels[data.ids])


def test_the_parts_are_disjoint_and_whole() -> None:
    ids = {part: digits.load(part).ids for part in PARTS}
    assert {part: len(of) for part, of in ids.items()} == {"train": 1100, "val": 397, "test": 300}
    assert torch.equal(torch.cat(list(ids.values())).sort().values, torch.arange(1797))


def test_the_split_stays_as_it_is() -> None:
    """Another permutation would be another suite version."""
    assert digits.load("train").ids[:4].tolist() == [362, 1568, 1440, 1761]
    assert digits.load("val").ids[:4].tolist() == [410, 279, 666, 171]
    assert digits.load("test").ids[:4].tolist() == [1349, 430, 394, 1643]


@pytest.mark.parametrize("part", PARTS)
def test_each_part_has_every_class(part: digits.Part) -> None:
    counts = digits.load(part).labels.bincount(minlength=10)
    assert (counts > 0.07 * counts.sum()).all()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda rows: rows[:100], r"expected 1797 rows of 64 values .* got .*\(100, 64\)"),
        (lambda rows: rows / 16, "from 0 to 1"),
        (lambda rows: None, r"No such file.*digits\.csv\.gz.*reinstall"),
    ],
)
def test_other_digits_are_refused(tmp_path, monkeypatch: pytest.MonkeyPatch, damage, message: str) -> None:
    images, labels = sklearn.datasets.load_digits(return_X_y=True)
    if (rows := damage(np.column_stack([images, labels]))) is not None:
        (tmp_path / digits.FILE).parent.mkdir(parents=True)
        np.savetxt(tmp_path / digits.FILE, rows, delimiter=",")  # compressed, as its name says
    monkeypatch.setattr(digits, "_folder", lambda: tmp_path)
    with pytest.raises(DataError, match=message):
        digits.describe()


def test_a_file_that_is_cut_off_is_refused(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / digits.FILE).parent.mkdir(parents=True)
    (tmp_path / digits.FILE).write_bytes((digits._folder() / digits.FILE).read_bytes()[:1000])
    monkeypatch.setattr(digits, "_folder", lambda: tmp_path)
    with pytest.raises(DataError, match=r"do not load.*reinstall scikit-learn"):
        digits.describe()


def test_reading_imports_nothing_of_scikit_learn() -> None:
    code = "import sys; from flatqat.data.digits import read; read(); sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
