"""Checks for plugins: `flatqat test my_method.py` runs the checks that the built-in plugins pass.

Each check is a function that raises AssertionError with what was expected and what it got.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from traceback import extract_tb
from typing import Any

from flatqat import registry
from flatqat.testing import methods, models, quantizers, suites

Check = Callable[[Any], None]

CHECKS: dict[registry.Kind, list[Any]] = {
    registry.METHODS: methods.CHECKS,
    registry.QUANTIZERS: quantizers.CHECKS,
    registry.MODELS: models.CHECKS,
    registry.SUITES: suites.CHECKS,
}


def check_plugin(path: Path) -> Iterator[tuple[str, str]]:
    """Run every check on everything that a file exports.

    Yields:
        (check, problem): what is checked, and what is wrong at which line; an empty text if it passes.
    """
    for kind, name in registry.add_plugin(path):
        thing = registry.load(kind, name)
        for check in CHECKS[kind]:
            summary = (check.__doc__ or "").strip().rstrip(".")
            yield f"{kind.word} {name}: {summary}", _problem(check, thing, path)


def _problem(check: Check, thing: Any, path: Path) -> str:
    try:
        check(thing)
    except (Exception, SystemExit) as error:
        said = str(error) if isinstance(error, AssertionError) else f"raised {error!r}"
        return f"{said or 'the check failed'} ({_location(error, path)})"
    return ""


def _location(error: BaseException, path: Path) -> str:
    """Return `file:line in function`: the last line of the plugin that was running, else of the check."""
    frames = extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename) == path.resolve()]
    frame = (own or frames)[-1]
    file = path if own else Path(frame.filename)
    return f"{file}:{frame.lineno} in {frame.name}"
