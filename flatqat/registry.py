"""Find plugins by name. The folder is the registry; entry points and plugin files add to it.

The built-in file `flatqat/suites/imagenet_c.py` exports `SUITE` and is the suite `imagenet-c`. Outside the
repository, an entry point in the group `flatqat.suites` or a file given with `--plugin` does the same. What
has a `name`, as every suite does, is called by it wherever it comes from, and everything else by its file.
Listing reads docstrings and imports nothing.
"""

import ast
import hashlib
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from pkgutil import resolve_name
from traceback import extract_tb
from types import ModuleType
from typing import Any, ClassVar, get_args, get_origin, get_type_hints

from flatqat.errors import FlatqatError, PluginError, UsageError, found, unknown
from flatqat.kinds import defined_at, misfit, shown


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of plugin: its folder in `flatqat`, the name that files export, and what that must be.

    `base` is the class, as "module:attribute", that is imported when a plugin is loaded. Plugins are
    subclasses of it if `subclasses`, else instances.
    """

    folder: str
    export: str
    base: str
    subclasses: bool = False

    @property
    def word(self) -> str:
        """The kind in messages: `suite`, `method`, `quantizer` or `model`."""
        return self.export.lower()


SUITES = Kind("suites", "SUITE", "flatqat.suite:Suite")
METHODS = Kind("methods", "METHOD", "flatqat.methods.base:Method", subclasses=True)
QUANTIZERS = Kind("quant", "QUANTIZER", "flatqat.quant.base:Quantizer", subclasses=True)
MODELS = Kind("models", "MODEL", "flatqat.models.base:ModelSource")
KINDS = (SUITES, METHODS, QUANTIZERS, MODELS)

MODULES = "flatqat_plugin."  # before the names of modules from plugin files

_plugin_files: dict[tuple[Kind, str], Path] = {}
_imported: dict[Path, bytes] = {}


def names(kind: Kind) -> list[str]:
    """Return all names of a kind, sorted, without importing anything."""
    plugins = (name for of, name in _plugin_files if of == kind)
    return sorted({*_built_in(kind), *_entry_points(kind), *plugins})


def summaries(kind: Kind) -> Iterator[tuple[str, str]]:
    """Yield each name with its docstring's first line (empty for entry points), importing nothing."""
    for name in names(kind):
        path = _plugin_files.get((kind, name)) or _built_in(kind).get(name)
        text = ast.get_docstring(ast.parse(path.read_bytes())) if path else None
        yield name, (text or "").partition("\n")[0]


def load(kind: Kind, name: str) -> Any:
    """Return the object called `name`. Raises UsageError if there is none, PluginError if it is broken."""
    if path := _plugin_files.get((kind, name)):
        return _export(kind, import_file(path), path)
    if path := _built_in(kind).get(name):
        return _export(kind, importlib.import_module(f"flatqat.{kind.folder}.{path.stem}"), path)
    if point := _entry_points(kind).get(name):
        return _installed(kind, name, point)
    error = unknown(kind.word, name, names(kind))
    raise UsageError(f"{error}; a {kind.word} of your own needs --plugin FILE")


def _installed(kind: Kind, name: str, point: EntryPoint) -> Any:
    who = f"{kind.word} {name!r} ({point.value})"
    try:
        thing = point.load()
    except (Exception, SystemExit) as error:
        raise PluginError(f"{who} failed to load: {error!r}") from error
    _check_base(kind, thing, who)
    if (own := _name(thing, Path(name))) != name:
        raise PluginError(f"{who}: expected an entry point with the name of the {kind.word}, {own!r}")
    return thing


def add_plugin(path: Path) -> list[tuple[Kind, str]]:
    """Register what a file exports, and return the (kind, name) pairs.

    Raises PluginError if the file fails to import, exports nothing or has the name of another plugin.
    """
    module = import_file(path.resolve())
    exported = [kind for kind in KINDS if hasattr(module, kind.export)]
    if not exported:
        exports = ", ".join(kind.export for kind in KINDS)
        raise PluginError(f"{path}: expected the file to export one of {exports}, got none of them")
    names_of = {kind: _name(_export(kind, module, path), path) for kind in exported}
    for kind, name in names_of.items():
        if not re.fullmatch(r"\w[\w.-]{0,99}", name):
            raise PluginError(
                f"{path}: expected a name of up to 100 letters, digits, _, - and ., got {name!r}"
            )
        other = _plugin_files.get((kind, name), path.resolve())
        if name in _built_in(kind) or other != path.resolve():
            taken = (
                f"the built-in {kind.word} {name!r}" if name in _built_in(kind) else f"{name!r} in {other}"
            )
            how = "change its name" if hasattr(getattr(module, kind.export), "name") else "rename the file"
            raise PluginError(f"{path}: expected a new name, got that of {taken}; {how}")
    for key in [key for key, file in _plugin_files.items() if file == path.resolve()]:
        del _plugin_files[key]  # names that it had before an edit
    _plugin_files.update(dict.fromkeys(names_of.items(), path.resolve()))
    return list(names_of.items())


def is_built_in(kind: Kind, name: str) -> bool:
    """Whether a plugin comes with flatqat."""
    return name in _built_in(kind)


def plugin_file(kind: Kind, name: str) -> Path | None:
    """Return the file that a plugin came from, or None for a built-in or installed one."""
    return _plugin_files.get((kind, name))


def forget_edited() -> None:
    """Forget the modules of files of code if one was edited since, as in a notebook.

    They run again when they are used. Else its cells would have the hash of the new code and the numbers of
    the old one.
    """
    if any(_content(path) != content for path, content in _imported.items()):
        import_file.cache_clear()
        _imported.clear()


def content(path: Path) -> bytes:
    """Return the bytes of a file of code that run: those that were imported, if it was edited since."""
    imported = _imported.get(path.resolve())
    return path.read_bytes() if imported is None else imported


def plugin_files() -> list[Path]:
    """Return the files that were added with `add_plugin`, in that order."""
    return list(dict.fromkeys(_plugin_files.values()))


def place(error: BaseException, path: Path) -> str:
    """Return `file:line in function`, the last line of a file that was running; an empty text if none was."""
    file = str(path.resolve())
    if isinstance(error, SyntaxError) and error.filename == file:
        return f"{path}:{error.lineno}"
    own = [frame for frame in extract_tb(error.__traceback__) if frame.filename == file]
    return f"{path}:{own[-1].lineno} in {own[-1].name}" if own else ""


def _name(thing: Any, path: Path) -> str:
    """Return the `name` of what a file exports, or that of the file with - for _."""
    name = getattr(thing, "name", None)
    return name if isinstance(name, str) else _stem(path)


def _stem(path: Path) -> str:
    return path.stem.replace("_", "-")


@lru_cache
def _built_in(kind: Kind) -> dict[str, Path]:
    """Return the files in the kind's folder that assign its export at the top level, by name."""
    folder = Path(__file__).parent / kind.folder
    assigned = re.compile(rf"^{kind.export}\b\s*[:=]", re.MULTILINE)
    return {_stem(p): p for p in sorted(folder.glob("[a-z]*.py")) if assigned.search(p.read_text("utf-8"))}


@lru_cache
def _entry_points(kind: Kind) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=f"flatqat.{kind.folder}")}


@lru_cache
def import_file(path: Path) -> ModuleType:
    """Return the module in a Python file, which runs once. Raises PluginError if it is missing or fails."""
    if not os.path.isfile(path):
        raise PluginError(f"plugin {path}: expected a Python file, got {found(path)}")
    module_spec = importlib.util.spec_from_file_location(_module_name(path), path)
    if module_spec is None or module_spec.loader is None:
        raise PluginError(f"plugin {path}: expected a file that ends in .py")
    module = importlib.util.module_from_spec(module_spec)
    try:
        content = _imported[path] = path.read_bytes()
    except OSError as error:
        raise PluginError(
            f"plugin {path}: expected a file that can be read, got: {error.strerror}; check its permissions"
        ) from error
    sys.modules[module_spec.name] = module  # dataclasses look their module up
    try:
        exec(compile(content, path, "exec"), module.__dict__)  # the bytes of its hash, never older bytecode
    except (Exception, SystemExit) as error:
        cause = str(error) if isinstance(error, FlatqatError) else f"{type(error).__name__}: {error}"
        where = place(error, path)
        raise PluginError(f"plugin {path} failed to import: {cause}{where and f' ({where})'}") from error
    return module


def _module_name(path: Path) -> str:
    """Return a name for the module in a file that no other file has, and that ends in that of the file."""
    return f"{MODULES}{hashlib.sha256(os.fsencode(path)).hexdigest()[:12]}.{path.stem}"


def _content(path: Path) -> bytes:
    """Return what a file holds, nothing if it cannot be read any more."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _export(kind: Kind, module: ModuleType, path: Path) -> Any:
    if not hasattr(module, kind.export):
        raise PluginError(f"{path}: expected the file to export {kind.export}, got none")
    thing = getattr(module, kind.export)
    _check_base(kind, thing, str(path))
    return thing


def _check_base(kind: Kind, thing: Any, who: str) -> None:
    """Raise PluginError unless a plugin is of the class that its kind requires, as are its attributes."""
    base = resolve_name(kind.base)
    fits = isinstance(thing, type) and issubclass(thing, base) if kind.subclasses else isinstance(thing, base)
    if not fits:
        what = f"a subclass of {base.__name__}" if kind.subclasses else f"a {base.__name__}"
        raise PluginError(f"{who}: expected {kind.export} to be {what}, got {shown(thing)}")
    if kind.subclasses and (wrong := misfit(thing, _attributes(base))):
        raise PluginError(f"{who}: expected {kind.export}.{wrong}{defined_at(thing)}")


@lru_cache
def _attributes(base: type) -> dict[str, Any]:
    """Return of what kind the attributes of a base class are."""
    hints = get_type_hints(base)
    return {name: get_args(hint)[0] for name, hint in hints.items() if get_origin(hint) is ClassVar}
