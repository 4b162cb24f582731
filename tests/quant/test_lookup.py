"""The table against torch's own search."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flatqat.quant import lookup as module
from flatqat.quant.lookup import bucketize, lookup


@given(
    st.lists(st.floats(-1e3, 1e3, width=32), min_size=2, max_size=30, unique=True),
    st.lists(st.floats(-2e3, 2e3, width=32), min_size=1, max_size=50),
)
@settings(max_examples=300, deadline=None)
def test_the_table_finds_what_the_search_finds(boundaries, values):
    b = torch.tensor(sorted(boundaries))
    near = torch.cat([b, b.nextafter(torch.tensor(torch.inf)), b.nextafter(torch.tensor(-torch.inf))])
    v = torch.cat([torch.tensor(values), near, torch.tensor([torch.inf, -torch.inf])])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LARGE_TENSOR", 1)
        assert torch.equal(bucketize(v, b), torch.bucketize(v, b, out_int32=True))


def test_large_tensors_take_the_table(monkeypatch):
    """So that the test above, and the speed, are of something that runs."""
    b, v = torch.linspace(0, 1, 15), torch.rand(2**15)
    expected = torch.bucketize(v, b, out_int32=True)
    searched = []
    search = torch.bucketize
    monkeypatch.setattr(torch, "bucketize", lambda v, *a, **k: searched.append(len(v)) or search(v, *a, **k))
    assert torch.equal(bucketize(v, b), expected)
    assert max(searched) < 100


@pytest.mark.parametrize("count", [3, 2**15])
def test_nan_is_below_all(count):
    v = torch.full((count,), torch.nan)
    assert bucketize(v, torch.tensor([0.0, 1.0, 5.0])).tolist() == [0] * count


def test_lookup_is_indexing():
    table, index = torch.rand(7, requires_grad=True), torch.randint(7, (4, 5)).int()
    assert torch.equal(lookup(table, index), table[index.long()])
    (grad,) = torch.autograd.grad(lookup(table, index).sum(), table)
    assert grad.tolist() == torch.bincount(index.flatten(), minlength=7).tolist()
