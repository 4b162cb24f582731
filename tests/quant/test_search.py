"""Few values are rounded in all ranges at once, which changes no bit of what the search finds."""

import pytest
import torch

from flatqat import registry
from flatqat.quant import search
from flatqat.quant.base import Quantizer
from flatqat.quant.observe import Observer

PLAIN = ["lsq", "lsqplus", "minmax", "ewgs"]
SHAPES = [(1, 1), (5, 1), (1, 300), (7, 3, 3, 3), (64, 28, 3, 3), (40, 1, 5, 5)]


def calibrated(name: str, role: str, bits: int, v: torch.Tensor, scale_shape: tuple[int, ...]) -> Quantizer:
    q = registry.load(registry.QUANTIZERS, name)(bits=bits, role=role, scale_shape=scale_shape)
    observed = Observer(scale_shape, keep_all=role == "weight")
    observed.add(v)
    q.calibrate(observed, "mse")
    return q


@pytest.fixture
def at_once(monkeypatch) -> list[bool]:
    """For each search so far, whether it rounded in all ranges at once."""
    found: list[bool] = []
    real = search._all_at_once
    monkeypatch.setattr(search, "_all_at_once", lambda *a: found.append((e := real(*a)) is not None) or e)
    return found


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", PLAIN)
def test_all_ranges_at_once_and_one_by_one_give_the_same_bits(name, shape, at_once, monkeypatch):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    cases = [("weight", weight, (shape[0], *[1] * (len(shape) - 1))), ("weight", weight, ())]
    cases += [("input", weight.flatten(), ()), ("input", weight.flatten().relu(), ())]
    quick = [calibrated(name, role, 3, v, scales).state_dict() for role, v, scales in cases]
    assert at_once.count(True) >= len(cases)
    monkeypatch.setattr(search, "FEW", 0)
    count = len(at_once)
    for (role, v, scales), expected in zip(cases, quick, strict=True):
        got = calibrated(name, role, 3, v, scales).state_dict()
        assert all(torch.equal(got[key], expected[key]) for key in expected), (role, scales)
    assert len(at_once) == count


@pytest.mark.parametrize("few", [0, search.FEW])
def test_without_a_finite_error_the_range_is_the_whole_one(few, monkeypatch):
    """Squares of 10²⁴ are infinite in float32, except in a channel of small values."""
    monkeypatch.setattr(search, "FEW", few)
    v = torch.tensor([[-1e25, 0.4e25, 1e25], [-1.0, 0.4, 1.0]])
    alone = calibrated("lsq", "weight", 4, v[1:], (1, 1)).scale
    both = calibrated("lsq", "weight", 4, v, (2, 1)).scale
    assert both.flatten().tolist() == pytest.approx([1e25 / 7, alone.item()])


def test_a_grid_that_has_other_codes_in_each_range_is_tried_range_by_range(monkeypatch):
    class Shifting(Quantizer):
        """The smaller the range, the fewer the codes below zero."""

        def set_range(self, low, high):
            self.set_bounds(-int(4 * high), 7)
            self.set_scale(high / self.qmax)

    v = torch.linspace(-1, 2, 50)
    found = []
    for few in (search.FEW, 0):
        monkeypatch.setattr(search, "FEW", few)
        q, observed = Shifting(bits=4, role="input"), Observer(())
        observed.add(v)
        q.calibrate(observed, "mse")
        found.append((q.qmin, q.scale.item()))
    assert found[0] == found[1]
