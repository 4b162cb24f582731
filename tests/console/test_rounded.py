"""What is not zero does not look like it, and zero has no sign."""

import pytest

from flatqat.console.rounded import rounded, with_interval


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (12.34, ".1f", "12.3"),
        (-12.34, "+.1f", "-12.3"),
        (0.05, ".1f", "0.1"),
        (0.04, ".1f", "0.04"),
        (-0.04, "+.1f", "-0.04"),
        (0.004, "+.1f", "+0.004"),
        (0.004, "+.2f", "+0.004"),
        (0.0004, "+.1f", "0.0"),
        (-3e-15, "+.2f", "0.00"),
        (0.0, "+.1f", "0.0"),
        (-0.0, ".1f", "0.0"),
        (-10.925, "+.2f", "-10.93"),
        (-10.924999999999999, "+.2f", "-10.93"),  # the same mean, summed in another order
        (float("inf"), ".1f", "inf"),
        (float("nan"), ".1f", "nan"),
    ],
)
def test_a_number(value, form, text):
    assert rounded(value, form) == text


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((0.4, 0.2, 0.6), "+0.4 [+0.2, +0.6]"),
        ((-0.02, -1.9, 1.8), "0.0 [-1.9, +1.8]"),
        ((-0.02, -0.1, 0.04), "-0.02 [-0.10, +0.04]"),
        ((0.02, -0.004, 0.04), "+0.020 [-0.004, +0.040]"),
        ((0.0, 0.0, -0.0), "0.0 [0.0, 0.0]"),
    ],
)
def test_a_number_and_its_interval(numbers, text):
    assert with_interval(*numbers) == text
