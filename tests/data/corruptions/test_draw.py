"""The random numbers of live corruptions."""

from math import sqrt

import numpy as np
import pytest
import torch
from scipy import special

from flatqat.data.corruptions._draw import Draw, _hash, _quantiles


def test_random_numbers() -> None:
    """Splitmix64's published first words from state 0; moments and correlations within five standard errors
    of 2^20 numbers: 0.005 for means and products, 0.007 for variances."""
    bits = Draw(torch.tensor([_hash("field")])).bits("field", 2)
    assert [word % 2**64 for word in bits[0].tolist()] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]
    draw = Draw.of(torch.arange(64), "x", 1)
    normal, other = draw.normal("a", 2**14), draw.normal("b", 2**14)
    assert (float(normal.mean()), float(normal.var())) == pytest.approx((0, 1), abs=0.007)
    assert abs(float((normal**4).mean()) - 3) < 5 * sqrt(96 / 2**20)
    for twin in (other, normal.roll(1, 0), normal.roll(1, 1), normal.roll(2**13, 1)):
        assert abs(float((normal * twin).mean())) < 0.005
    counts = draw.integers("c", 2**14, low=-2, high=2).add(2).flatten().bincount()
    assert counts.tolist() == pytest.approx([2**18] * 4, rel=0.01)


def test_normal_numbers_are_the_quantiles() -> None:
    """Of the middles of 2^16 equal parts, widened to variance 1: by 8 in a million, and as little off."""
    values = _quantiles(torch.device("cpu")).double().numpy()
    assert np.abs(special.ndtr(values) - (np.arange(2**16) + 0.5) / 2**16).max() < 1e-5
    assert values.var() == pytest.approx(1, abs=1e-6)
