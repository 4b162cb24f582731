"""How a suggested command names the results folder that it is about."""

import shlex
from pathlib import Path


def results_option(root: Path) -> str:
    """Return ` --results DIR`, or an empty text for the folder that commands take without it."""
    return "" if root == Path("results") else f" --results {shlex.quote(str(root))}"
