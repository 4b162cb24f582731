"""Made copies of the sets of street scenes."""

import shutil
from pathlib import Path

import pytest

from tests.helpers import SHARED, street_files


@pytest.fixture(scope="session")
def scene() -> street_files.Scene:
    """CamVid's images where they are, else drawn ones."""
    folder = SHARED / "data/camvid"
    return street_files.of_camvid(folder) if folder.is_dir() else street_files.drawn


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, scene: street_files.Scene) -> Path:
    """All sets, a few images each. Not to be changed."""
    root = tmp_path_factory.mktemp("streets")
    street_files.cityscapes(root, scene=scene)
    street_files.acdc(root, scene=scene)
    street_files.dark_zurich(root)
    street_files.nighttime_driving(root)
    street_files.bdd100k(root)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy to be changed."""
    return Path(shutil.copytree(made, tmp_path / "copy"))
