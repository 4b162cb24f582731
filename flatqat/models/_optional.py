"""Import a library that comes with an extra, or say which one."""

import importlib
from typing import Any

from flatqat.errors import UsageError


def require(module: str, *, extra: str) -> Any:
    """Import `module`; raises UsageError with the install command when it is absent."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise UsageError(
            f"{error.name} is not installed; install it with: pip install 'flatqat[{extra}]'"
        ) from None
