"""Import a library that comes with an extra."""

import importlib
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
        raise UsageError(
            f"{error.name} is not installed; install it with: pip install 'flatqat[{extra}]'"
        ) from None
