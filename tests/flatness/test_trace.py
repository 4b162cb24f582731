"""Traces against dense Hessians and known spectra; the standard error against the spread over seeds."""

import math
from statistics import fmean, stdev

import pytest
import torch
from torch import Tensor

from flatqat.flatness.trace import trace
from tests.helpers.flatness_toys import SmallNet, quadratic, symmetric

SPECTRUM = [50.0, 30.0, 20.0, -10.0, *torch.linspace(-0.5, 1.5, 56).tolist()]


def test_conv_net_against_the_dense_hessian(net64: SmallNet, dense: Tensor) -> None:
    got = trace(net64.chunks(12), net64.params, steps=100, probes=100)
    assert abs(got.value - float(dense.trace())) < 4 * got.stderr  # 4 standard errors: 1 seed in 16,000
    assert got.stderr < 0.1 * got.value  # sharp enough to see a factor, or a forgotten term
    assert got.mean == got.value / 196
    assert (got.steps, got.probes) == (100, 100)


def test_float32_gives_the_same_trace(net64: SmallNet, net32: SmallNet) -> None:
    low, high = (trace(net.chunks(12), net.params, steps=10) for net in (net32, net64))
    assert low.value == pytest.approx(high.value, rel=1e-3)  # the same start and probes; 1e-7 a product


def test_the_probes_see_the_outliers_no_more() -> None:
    """Plain Hutchinson with as many products: variance 2 (||H||_F^2 - sum H_ii^2) / 40."""
    matrix = symmetric(SPECTRUM)
    hutchinson = math.sqrt(2 * float(matrix.square().sum() - matrix.diag().square().sum()) / 40)
    got = trace([quadratic(matrix)], {"w": torch.ones(len(SPECTRUM)).double()}, steps=10, probes=30)
    assert got.stderr < hutchinson / 5


@pytest.mark.parametrize(
    "spectrum",
    [[5.0, 4.0, -3.0, 2.0], [3.0, 2.0, -1.0] + [0.0] * 47, [-6.0], [0.0] * 6],
    ids=["all of the space", "low rank", "one dimension", "zero"],
)
def test_exact_once_the_krylov_space_holds_the_range(spectrum: list[float]) -> None:
    matrix = symmetric(spectrum)
    got = trace([quadratic(matrix)], {"w": torch.ones(len(spectrum)).double()}, steps=10, probes=2)
    assert got.value == pytest.approx(sum(spectrum), abs=1e-10)  # float64 rounding of 50 terms
    assert got.captured == pytest.approx(sum(spectrum), abs=1e-10)
    assert got.stderr < 1e-10


def test_unbiased_with_the_spread_it_claims() -> None:
    loss, params = quadratic(symmetric(SPECTRUM)), {"w": torch.ones(len(SPECTRUM)).double()}
    runs = [trace([loss], params, steps=3, probes=5, seed=seed) for seed in range(300)]
    spread = stdev(run.value for run in runs)
    assert abs(fmean(run.value for run in runs) - sum(SPECTRUM)) < 4 * spread / math.sqrt(300)
    claimed = math.sqrt(fmean(run.stderr**2 for run in runs))
    assert claimed == pytest.approx(spread, rel=0.15)  # a spread over 300 seeds is known to 4%
    assert abs(fmean(run.captured for run in runs) - sum(SPECTRUM)) > 10  # the probes are needed


def test_chunks_do_not_matter(net64: SmallNet) -> None:
    whole, parts = (trace(net64.chunks(size), net64.params, steps=5, probes=5) for size in (12, 3))
    assert parts.value == pytest.approx(whole.value, rel=1e-9)  # float64, another order of summing
    assert parts.stderr == pytest.approx(whole.stderr, rel=1e-6)


def test_seed_decides_and_nothing_else() -> None:
    loss, params = quadratic(symmetric(SPECTRUM)), {"w": torch.ones(len(SPECTRUM)).double()}
    state = torch.get_rng_state()
    first = trace([loss], params, steps=2, probes=2)
    assert torch.equal(state, torch.get_rng_state())
    torch.rand(1)  # the global generator has no say
    assert trace([loss], params, steps=2, probes=2) == first
    assert trace([loss], params, steps=2, probes=2, seed=1) != first


def test_progress_counts_products_of_both_kinds() -> None:
    seen: list[tuple[int, int]] = []
    loss, params = quadratic(symmetric([3.0, 2.0, 1.0, 0.5])), {"w": torch.ones(4).double()}
    trace([loss], params, steps=3, probes=2, progress=lambda done, most: seen.append((done, most)))
    assert seen == [(done, 5) for done in range(1, 6)]


def test_refuses_what_it_cannot_do() -> None:
    params = {"w": torch.ones(2)}
    for wrong in ({"steps": 0}, {"probes": 1}):
        with pytest.raises(ValueError, match="steps >= 1 and probes >= 2"):
            trace([quadratic(torch.eye(2))], params, **wrong)
    with pytest.raises(FloatingPointError, match="finite Hessian-vector product"):
        trace([lambda p: p["w"].pow(2).sum() * math.inf], params)
    with pytest.raises(ValueError, match="at least one loss"):
        trace([], params)
