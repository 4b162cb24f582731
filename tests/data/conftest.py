"""Made copies of CIFAR: how many images make a whole one, and those that all tests of CIFAR-C share."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from flatqat.data.cifar import sets
from flatqat.data.cifar.sets import CIFAR10, CIFAR100, Cifar
from tests.helpers import cifar_c_files, cifar_files


@pytest.fixture
def small_counts(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Files of 200 images are whole, except beside the real data."""
    if "shared" not in request.fixturenames:
        for split, count in cifar_files.SMALL.items():
            monkeypatch.setitem(sets.COUNTS, split, count)


@pytest.fixture
def few_training_images(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """200 training images are whole, except beside the real data; test images are as many as they are."""
    if "shared" not in request.fixturenames:
        monkeypatch.setitem(sets.COUNTS, "train", cifar_c_files.COUNTS["train"])


@pytest.fixture(params=[CIFAR10, CIFAR100], ids=lambda cifar: cifar.name)
def cifar(request: pytest.FixtureRequest) -> Cifar:
    """Each set in turn."""
    found: Cifar = request.param
    return found


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Cifar], Path]:
    """Where a set lies with its corrupted images, written once."""

    @cache
    def root_of(cifar: Cifar) -> Path:
        root = tmp_path_factory.mktemp("cifar")
        cifar_c_files.write(cifar, root)
        return root

    return root_of


@pytest.fixture
def original(cifar: Cifar, written: Callable[[Cifar], Path]) -> Path:
    """The clean images and the corrupted ones in one folder."""
    return written(cifar)


@pytest.fixture
def root(original: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage: the files are links to the original ones."""
    for file in original.glob("*/*"):
        (tmp_path / file.parent.name).mkdir(exist_ok=True)
        os.link(file, tmp_path / file.parent.name / file.name)
    return tmp_path


@pytest.fixture
def folder(cifar: Cifar, root: Path) -> Path:
    """The folder of .npy files in that copy."""
    return root / cifar_c_files.FOLDERS[cifar]
