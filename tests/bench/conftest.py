"""The whole benchmark on the toy suite."""

import pytest

from flatqat import registry
from tests.helpers import TOY


@pytest.fixture(scope="session", autouse=True)
def toy() -> None:
    """Make the suite `toy` known."""
    registry.add_plugin(TOY)
