"""Checks for plugins: `flatqat test my_method.py` runs the checks that the built-in plugins pass.

Each check is a function that raises AssertionError with what was expected and what it got.
"""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from traceback import extract_tb
from typing import Any

from flatqat import registry
from flatqat.errors import PluginError, UsageError
from flatqat.models.base import source_of
from flatqat.models.file import factory_of
from flatqat.testing import methods, models, quantizers, suites

Check = Callable[[Any], None]

CHECKS: dict[registry.Kind, list[Any]] = {
    registry.METHODS: methods.CHECKS,
    registry.QUANTIZERS: quantizers.CHECKS,
    registry.MODELS: models.CHECKS,
    registry.SUITES: suites.CHECKS,
}


@dataclass(frozen=True, slots=True)
class Subject:
    """What is checked, the file that it is in, and how it is called there."""

    kind: registry.Kind
    name: str
    thing: Any
    file: Path
    definition: str


def check_plugin(target: str | Path, data_root: Path | None = None) -> Iterator[tuple[str, str]]:
    """Run every check on everything that a file exports, or on the network of `file:PATH.py:FUNCTION`.

    Args:
        target: The file or the network.
        data_root: The folder of the datasets, for suites.

    Yields:
        (check, problem): what is checked, and what is wrong at which line; an empty text if it passes.

    Raises:
        UsageError: There is no such file, or it has no suite, which `data_root` is for.
        PluginError: The file fails, or exports nothing.
    """
    subjects = list(_subjects(target))
    if data_root and not any(subject.kind == registry.SUITES for subject in subjects):
        kinds = " and ".join(dict.fromkeys(f"a {subject.kind.word}" for subject in subjects))
        raise UsageError(f"--data-root: expected a suite in {target}, got {kinds}; leave it out")
    for subject in subjects:
        for check in CHECKS[subject.kind]:
            summary = (check.__doc__ or "").strip().rstrip(".")
            run = partial(check, root=data_root) if subject.kind == registry.SUITES else check
            yield f"{subject.kind.word} {subject.name}: {summary}", _problem(run, subject)


def _subjects(target: str | Path) -> Iterator[Subject]:
    if str(target).startswith("file:"):
        source, name = source_of(str(target))
        (file,) = source.files(name)
        factory_of(name)  # raises if there is none
        one = replace(source, names=lambda: [name])
        yield Subject(registry.MODELS, str(target), one, file, name.rpartition(":")[2])
        return
    for kind, name in registry.add_plugin(Path(target)):
        thing = registry.load(kind, name)
        definition = thing.__name__ if isinstance(thing, type) else kind.export
        yield Subject(kind, name, thing, Path(target), definition)


def _problem(check: Check, subject: Subject) -> str:
    try:
        check(subject.thing)
    except (Exception, SystemExit) as error:
        said = str(error) if isinstance(error, (AssertionError, PluginError)) else f"raised {error!r}"
        return f"{said or 'the check failed'} ({_location(error, subject)})"
    return ""


def _location(error: BaseException, subject: Subject) -> str:
    """Return the last line of the plugin that was running, else its definition and the line of the check."""
    if own := registry.place(error, subject.file):
        return own
    frame = extract_tb(error.__traceback__)[-1]
    check = f"{frame.filename}:{frame.lineno} in {frame.name}"
    line = _line_of(subject.definition, subject.file)
    return f"{subject.file}:{line} in {subject.definition}, checked by {check}"


def _line_of(name: str, file: Path) -> int:
    """Return the line on which a file defines a class, a function or a variable; 1 if it imports it."""
    for node in ast.parse(file.read_bytes()).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names = [getattr(node, "name", None), *(getattr(target, "id", None) for target in targets)]
        if name in names:
            return node.lineno
    return 1
