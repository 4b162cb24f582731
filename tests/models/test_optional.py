"""Libraries of extras that are missing or do not import."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def test_models_are_listed_without_the_sources_that_cannot_be(
    flatqat: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are named on stderr, and no search fails for want of a library."""
    for name in ("timm", "mmseg", "robustbench", "pyautoattack"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('libGL.so.1 is missing')")
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    done = flatqat("models", "list", "*:resnet20")
    assert (done.code, done.out) == (0, "cifar:resnet20\n")
    for name in ("timm", "mmseg", "robustbench"):
        assert f"{name}: models left out, since " in done.err
    assert done.err.count("\n") == 3
    done = flatqat("models", "list", "timm:*")
    assert (done.code, done.out) == (2, "")
    assert "timm: expected to import it, got ImportError: libGL.so.1 is missing" in done.err
