"""Toy cells that several modules measure."""

from pathlib import Path

import pytest

from tests.helpers.sensitivity_runs import store


@pytest.fixture(scope="session")
def cells(tmp_path_factory) -> Path:
    """Results with the cells tiny-fp and tiny-ptq-4 of the suite toy."""
    return store(tmp_path_factory.mktemp("sensitivity"))
