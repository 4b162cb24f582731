"""Import a library that comes with an extra."""

import importlib
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any
from warnings import catch_warnings, simplefilter

from flatqat.errors import UsageError


def require(module: str, *, extra: str) -> Any:
    """Import `module` without its warnings.

    Raises UsageError with the install command if it is missing, or does not import: it may lack a library of
    the system, or refuse the version of another.
    """
    try:
        with catch_warnings():  # about deprecated names between libraries, which users cannot fix
            simplefilter("ignore")
            return importlib.import_module(module)
    except MemoryError:
        raise
    except Exception as error:  # libraries raise ImportError, AssertionError, AttributeError and others
        library = module.partition(".")[0]
        fix = f"install it with: pip install 'flatqat[{extra}]'"
        if isinstance(error, ModuleNotFoundError) and error.name == library:
            raise UsageError(f"{library} is not installed; {fix}") from None
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise UsageError(
            f"{library}: expected to import it, got {reason}; add what it lacks, or {fix}"
        ) from error


@contextmanager
def quietly() -> Iterator[None]:
    """Suppress warnings and logs, and print on stderr, as stdout is for results."""
    before = logging.root.manager.disable
    with catch_warnings(), redirect_stdout(sys.stderr):
        simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)
