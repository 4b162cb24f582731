"""Contract checks for plugins: `flatqat test my_method.py` runs what the built-ins have to pass.

Each check is a function that raises AssertionError with what was expected and what came.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
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
    """(check, problem) for every check of everything that the file exports; no problem is an empty text."""
    for kind, name in registry.add_plugin(path):
        thing = registry.load(kind, name)
        for check in CHECKS[kind]:
            yield f"{kind.word} {name}: {(check.__doc__ or '').strip().rstrip('.')}", _problem(check, thing)


def _problem(check: Check, thing: Any) -> str:
    try:
        check(thing)
    except AssertionError as error:
        return str(error) or "the check does not hold"
    except (Exception, SystemExit) as error:
        return f"raised {error!r}"
    return ""
