"""Libraries of extras that are missing or do not import."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flatqat.errors import UsageError
from flatqat.models.optional import require

BROKEN = {
    "raise ImportError('libGL.so.1: cannot open shared object file')": "ImportError: libGL.so.1: cannot open",
    "import library_that_is_not_there": "ModuleNotFoundError: No module named 'library_that_is_not_there'",
    "assert False, 'MMCV==3 is used but\\nincompatible'": "AssertionError: MMCV==3 is used but incompatible",
}


@pytest.mark.parametrize("code", BROKEN)
def test_a_library_that_does_not_import_is_one_error_with_the_reason(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a_broken_library.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError) as caught:
        require("a_broken_library", extra="zoo")
    assert f"a_broken_library: expected to import it, got {BROKEN[code]}" in str(caught.value)
    assert "pip install 'flatqat[zoo]'" in str(caught.value)


@pytest.mark.slow
def test_models_are_listed_without_the_sources_that_cannot_be(tmp_path: Path) -> None:
    """They are named on stderr, and no search fails for want of a library.

    In processes of their own: this one may have the libraries, and the names they gave, from other tests.
    """
    for name in ("timm", "mmseg", "robustbench"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('libGL.so.1 is missing')")

    def listed(pattern: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "flatqat", "models", "list", pattern]
        env = os.environ | {"PYTHONPATH": str(tmp_path)}
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)

    done = listed("*:resnet20")
    assert (done.returncode, done.stdout) == (0, "cifar:resnet20\n")
    for name in ("timm", "mmseg", "robustbench"):
        assert f"{name}: models left out, since " in done.stderr
    assert done.stderr.count("\n") == 3
    done = listed("timm:*")
    assert (done.returncode, done.stdout) == (2, "")
    assert "timm: expected to import it, got ImportError: libGL.so.1 is missing" in done.stderr
