"""Every script can be imported, and what it takes of the package is still there."""

import importlib

import pytest

from tests.helpers import ROOT

BY_MKDOCS = (
    "scripts.mkdocs_hooks"  # imported by each build of the documentation, for which tests have no library
)
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for folder in ("scripts", "perf")
    for path in (ROOT / folder).rglob("*.py")
)


@pytest.mark.parametrize("name", [name for name in MODULES if name != BY_MKDOCS])
def test_it_can_be_imported(name):
    importlib.import_module(name)
