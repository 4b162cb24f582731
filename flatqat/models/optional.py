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
    """Import `module` without its warnings. Raises UsageError with the install command if it is missing."""
    try:
        with catch_warnings():  # about deprecated names between libraries, which users cannot fix
            simplefilter("ignore")
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        fix = f"install it with: pip install 'flatqat[{extra}]'"
        raise UsageError(f"{error.name} is not installed; {fix}") from None


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
