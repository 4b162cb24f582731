"""The whole benchmark on the toy suite."""

from pathlib import Path

import pytest

from flatqat import registry

TOY = Path(__file__).parent / "toy.py"


@pytest.fixture(scope="session", autouse=True)
def toy() -> None:
    """Make the suite `toy` known."""
    registry.add_plugin(TOY)
