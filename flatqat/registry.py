"""Names to objects: the folder is the registry, entry points and plugin files add to it.

A built-in `flatqat/suites/imagenet_c.py` is the suite `imagenet-c` and exports `SUITE`. Outside the
repository an entry point in the group `flatqat.suites`, or a file given with `--plugin`, does the same.
Listing reads docstrings without importing anything.
"""

import ast
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from flatqat.errors import PluginError, unknown


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of plugin: its folder under `flatqat`, the name a file exports, and what that must have."""

    folder: str
    export: str
    needs: tuple[str, ...]

    @property
    def word(self) -> str:
        return self.export.lower()


SUITES = Kind("suites", "SUITE", ("name", "shifts", "train", "val", "recipes", "verify"))
METHODS = Kind("methods", "METHOD", ("Config", "parent", "quantizes", "steps", "step"))
QUANTIZERS = Kind("quant", "QUANTIZER", ("calibrate", "quantize", "codes", "dequantize"))
MODELS = Kind("models", "MODEL", ("names", "build"))
KINDS = (SUITES, METHODS, QUANTIZERS, MODELS)

_plugin_files: dict[tuple[Kind, str], Path] = {}


def names(kind: Kind) -> list[str]:
    """Every known name of a kind, sorted. Imports nothing."""
    plugins = (name for of, name in _plugin_files if of == kind)
    return sorted({*_built_in(kind), *_entry_points(kind), *plugins})


def summaries(kind: Kind) -> Iterator[tuple[str, str]]:
    """(name, first line of the docstring), without importing; empty text for entry points."""
    for name in names(kind):
        path = _plugin_files.get((kind, name)) or _built_in(kind).get(name)
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) if path else None
        yield name, (text or "").partition("\n")[0]


def load(kind: Kind, name: str) -> Any:
    """The object called `name`.

    Raises UsageError on an unknown name, listing the choices, and PluginError, naming the file, when the
    plugin fails to import or lacks its export.
    """
    if path := _plugin_files.get((kind, name)):
        return _export(kind, import_file(path), path)
    if path := _built_in(kind).get(name):
        return _export(kind, importlib.import_module(f"flatqat.{kind.folder}.{path.stem}"), path)
    if point := _entry_points(kind).get(name):
        try:
            return point.load()
        except Exception as error:
            raise PluginError(f"{kind.word} {name!r} ({point.value}) failed to load: {error!r}") from error
    raise unknown(kind.word, name, names(kind))


def add_plugin(path: Path) -> list[tuple[Kind, str]]:
    """Register what a file exports under the file's name; returns the (kind, name) pairs."""
    module = import_file(path.resolve())
    found = [(kind, _name(path)) for kind in KINDS if hasattr(module, kind.export)]
    if not found:
        exports = ", ".join(kind.export for kind in KINDS)
        raise PluginError(f"{path}: expected the file to export one of {exports}, got none of them")
    for kind, name in found:
        if name in _built_in(kind):
            raise PluginError(
                f"{path}: expected a name of its own, got that of the built-in {kind.word} {name!r}"
            )
        _export(kind, module, path)
    _plugin_files.update({key: path.resolve() for key in found})
    return found


def plugin_file(kind: Kind, name: str) -> Path | None:
    """The file that a plugin came from; None for what is built in or installed."""
    return _plugin_files.get((kind, name))


def _name(path: Path) -> str:
    return path.stem.replace("_", "-")


@lru_cache
def _built_in(kind: Kind) -> dict[str, Path]:
    """Files of the kind's folder that assign its export at the top level."""
    folder = Path(__file__).parent / kind.folder
    assigned = re.compile(rf"^{kind.export}\b\s*[:=]", re.MULTILINE)
    return {_name(p): p for p in sorted(folder.glob("[a-z]*.py")) if assigned.search(p.read_text("utf-8"))}


@lru_cache
def _entry_points(kind: Kind) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=f"flatqat.{kind.folder}")}


@lru_cache
def import_file(path: Path) -> ModuleType:
    """The module in a Python file, run once. Raises PluginError when it is absent or fails."""
    if not path.is_file():
        raise PluginError(f"plugin {path}: expected a Python file, found none")
    module_spec = importlib.util.spec_from_file_location(f"flatqat_plugin_{path.stem}", path)
    if module_spec is None or module_spec.loader is None:
        raise PluginError(f"plugin {path}: expected a file that ends in .py")
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[module_spec.name] = module  # dataclasses look their module up
    try:
        module_spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise PluginError(f"plugin {path} failed to import: {type(error).__name__}: {error}") from error
    return module


def _export(kind: Kind, module: ModuleType, path: Path) -> Any:
    if not hasattr(module, kind.export):
        raise PluginError(f"{path}: expected it to export {kind.export}, got none")
    thing = getattr(module, kind.export)
    if lacking := [name for name in kind.needs if not hasattr(thing, name)]:
        raise PluginError(
            f"{path}: expected {kind.export} to have {', '.join(kind.needs)}, got none of {lacking}"
        )
    return thing
