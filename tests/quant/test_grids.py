from math import sqrt

import pytest
import torch

from flatqat.quant.lsq import LSQ
from flatqat.quant.observe import VALUES_PER_BATCH, Observer


@pytest.mark.parametrize(
    ("role", "scale_shape", "shape", "values", "expected"),
    [
        ("weight", (), (4,), torch.tensor([-1.0, 2.0]), 1 / sqrt(4 * 7)),
        ("weight", (8, 1, 1, 1), (8, 3, 3, 3), torch.ones(8, 3, 3, 3), 1 / sqrt(27 * 7)),
        ("input", (), (16, 3, 4, 4), torch.tensor([-1.0, 2.0]), 1 / sqrt(48 * 7)),
        ("input", (), (16, 3, 4, 4), torch.tensor([0.0, 2.0]), 1 / sqrt(48 * 15)),
    ],
)
def test_lsq_gradient_scale_holds_the_top_level(role, scale_shape, shape, values, expected):
    """4 bits: the top level is 7, or 15 on the unsigned grid. (At 2 bits it is 1 and shows nothing.)"""
    q = LSQ(bits=4, role=role, scale_shape=scale_shape)
    seen = Observer(scale_shape)
    seen.add(values)
    q.calibrate(seen)
    assert q.grad_scale(torch.zeros(shape)) == pytest.approx(expected, rel=1e-12)


def test_weights_that_are_never_negative_stay_on_the_signed_grid():
    q = LSQ(bits=3, role="weight")
    seen = Observer(())
    seen.add(torch.rand(20))
    q.calibrate(seen)
    assert (q.qmin, q.qmax) == (-4, 3)


@pytest.mark.parametrize("shape", [(128, 16, 32, 32), (128, 32, 16, 16), (128, 64, 8, 8), (64, 64, 56, 56)])
def test_the_sample_of_a_feature_map_sees_every_row_and_column(shape):
    """A stride that divides the width would take one column, the padded border, and calibrate on that."""
    n = torch.Size(shape).numel()
    column = torch.arange(shape[3], dtype=torch.float32).expand(shape)
    row = torch.arange(shape[2], dtype=torch.float32)[:, None].expand(shape)
    for position in (column, row):
        seen = Observer(())
        seen.add(position)
        assert len(seen.values) <= VALUES_PER_BATCH
        counts = torch.bincount(seen.values.long())
        assert len(counts) == int(position.max()) + 1
        assert counts.min() > 0.5 * counts.float().mean(), f"{n} values"
