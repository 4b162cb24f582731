"""A file or a folder that this user may not read, also where tests run as root, who may read all."""

import builtins
import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def forbid(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the system refuse what it refuses where a file or a folder has no permissions."""

    def refusing(function: Callable[..., Any], *, itself: bool) -> Callable[..., Any]:
        def call(path: Any = ".", *args: Any, **options: Any) -> Any:
            if isinstance(path, str | os.PathLike):
                own = Path(path)
                if place in own.parents or (itself and own == place):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
            return function(path, *args, **options)

        return call

    for name in ("stat", "lstat"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name), itself=False))
    for name in ("scandir", "listdir", "open"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name), itself=True))
    monkeypatch.setattr(builtins, "open", refusing(open, itself=True))
    monkeypatch.setattr(io, "open", refusing(io.open, itself=True))
