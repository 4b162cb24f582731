"""The search of `ranges=mse` against a brute-force search over both ends of the range."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from flatqat import registry
from flatqat.quant.base import Quantizer
from flatqat.quant.observe import Observer
from tests.helpers.slow import slow

NORMAL = torch.randn(1500, generator=torch.Generator().manual_seed(0))
INPUTS = {"behind a ReLU": NORMAL.relu(), "behind a GELU": F.gelu(2 * NORMAL), "signed": NORMAL}
SEARCHING = [name for name in registry.names(registry.QUANTIZERS) if name != "dorefa"]


def with_outlier(v: Tensor, size: float) -> Tensor:
    return torch.cat([v[:-1], torch.tensor([size])]) if size else v


def searched(name: str, bits: int, role: str, v: Tensor) -> tuple[Quantizer, Observer]:
    observed = Observer((), keep_all=True)
    observed.add(v)
    q = registry.load(registry.QUANTIZERS, name)(bits=bits, role=role)
    q.calibrate(observed, "mse")
    return q, observed


def error(q: Quantizer, v: Tensor) -> float:
    return (q.quantize(v) - v).square().mean().item()


@torch.no_grad()
@pytest.mark.parametrize("name", SEARCHING)
@pytest.mark.parametrize("outlier", [0, 50, 500])
@pytest.mark.parametrize("values", INPUTS)
@pytest.mark.parametrize("bits", [2, 4, *slow(3, 8)])
def test_inputs_with_an_outlier_get_a_range_near_the_best(name, outlier, values, bits):
    """Within 5% of the error of the best of 576 pairs of ends, each 30% from the next."""
    v = with_outlier(INPUTS[values], outlier)
    q, observed = searched(name, bits, "input", v)
    found, best = error(q, v), torch.inf
    for i in range(24):
        for j in range(24) if values == "behind a GELU" else [i]:
            q.set_range(observed.low * 0.7**j, observed.high * 0.7**i)
            best = min(best, error(q, v))
    assert found <= 1.05 * best


@torch.no_grad()
@pytest.mark.parametrize("outlier", [0, 5])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_weights_with_an_outlier_get_a_range_near_the_best(outlier, bits):
    for name in ("lsq", "minmax", "lsqplus", "n2uq"):
        v = with_outlier(0.1 * NORMAL, outlier)
        q, observed = searched(name, bits, "weight", v)
        found, best = error(q, v), torch.inf
        for i in range(500):
            q.set_range(observed.low * 0.985**i, observed.high * 0.985**i)
            best = min(best, error(q, v))
        assert found <= 1.05 * best


@torch.no_grad()
def test_without_an_outlier_the_range_is_what_it_was_to_the_bit():
    """The best of 0.20, 0.21, ..., 1.00, the first of equal ones: stored numbers rest on it."""
    for v in INPUTS.values():
        for bits in (2, 3, 4, 8):
            q, observed = searched("lsq", bits, "input", v)
            found, errors = q.scale.item(), {}
            for percent in range(20, 101):
                q.set_range(observed.low * (percent / 100), observed.high * (percent / 100))
                errors.setdefault(error(q, v), q.scale.item())
            assert found == errors[min(errors)]
