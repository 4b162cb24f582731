"""Samples of files that are spread over a dataset."""

import pytest

from flatqat.data.images.integrity import spread_indices


@pytest.mark.parametrize(("count", "most"), [(1, 4), (3, 4), (50_000, 64), (64, 64)])
def test_a_spread_sample_has_both_ends(count, most):
    indices = spread_indices(count, most)
    assert len(indices) == min(count, most)
    assert (indices[0], indices[-1]) == (0, count - 1)
