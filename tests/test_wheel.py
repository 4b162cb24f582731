"""The wheel has every file of the package: what is no module, too, such as styles, tables and packs."""

import subprocess
import sys
import zipfile

import pytest

from flatqat import __version__
from tests.helpers import ROOT


def test_every_file_of_the_package_is_in_the_wheel(tmp_path):
    pytest.importorskip("hatchling", reason="hatchling, which builds the wheel, is not installed")
    build = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path))
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(tmp_path / f"flatqat-{__version__}-py3-none-any.whl") as wheel:
        built = {name for name in wheel.namelist() if name.startswith("flatqat/")}
    files = [p for p in (ROOT / "flatqat").rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    assert built == {path.relative_to(ROOT).as_posix() for path in files}
    assert "flatqat/reference/digits-c-v3.json" in built
