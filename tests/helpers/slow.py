"""Values of parametrized tests that only `-m slow` runs."""

import pytest


def slow(*values):
    """Return values, each a tuple where a test has several arguments, as parameters of slow tests."""
    rows = (value if isinstance(value, tuple) else (value,) for value in values)
    return [pytest.param(*row, marks=pytest.mark.slow) for row in rows]
