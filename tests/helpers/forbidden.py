"""A file or a folder that this user may not look at, also where tests run as root, who may look at all."""

import builtins
import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def forbid(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the system refuse to look at, list or open what is at a path or below it."""

    def refusing(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any = ".", *args: Any, **options: Any) -> Any:
            if isinstance(path, str | os.PathLike) and Path(path).is_relative_to(place):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
            return function(path, *args, **options)

        return call

    for name in ("stat", "lstat", "scandir", "listdir", "open"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))
    monkeypatch.setattr(builtins, "open", refusing(open))
    monkeypatch.setattr(io, "open", refusing(io.open))
