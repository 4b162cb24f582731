"""Plugins for the length of a test."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from flatqat import registry


@contextmanager
def registered(kind: registry.Kind, name: str, thing: Any) -> Iterator[None]:
    """Within, `registry` lists and loads this object under this name, in place of one that has it already."""
    load, names = registry.load, registry.names
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "load", lambda k, n: thing if (k, n) == (kind, name) else load(k, n))
        patch.setattr(registry, "names", lambda k: sorted({*names(k), name}) if k == kind else names(k))
        yield


@contextmanager
def plugins_removed() -> Iterator[None]:
    """Plugin files that are registered within are gone afterwards."""
    before = dict(registry._plugin_files)
    try:
        yield
    finally:
        registry._plugin_files.clear()
        registry._plugin_files.update(before)
