"""Eigenvalues against known spectra and a dense Hessian."""

import math

import pytest
import torch
from torch import Tensor

from flatqat.flatness.hessian import top_eigenvalue
from flatqat.flatness.params import Params, flatten
from tests.helpers.flatness_toys import SmallNet, quadratic, symmetric

SPECTRA = {
    "positive": [5.0, 4.0, 3.0, 2.0, 1.0, 0.5],
    "indefinite": [2.0, 1.0, 0.1, -0.5, -3.0, -7.0],
    "negative definite": [-1.0, -2.0, -3.0, -10.0],
    "degenerate": [4.0, 4.0, 4.0, 1.0, 1.0],
    "multiple of the identity": [-2.5] * 7,
    "rank one": [3.0] + [0.0] * 19,
    "one dimension": [-6.0],
    "clustered": [1.0, 1.0 - 1e-4, 0.5, 0.25, 0.0],
}


def at(matrix: Tensor) -> Params:
    return {"w": torch.linspace(1, 2, len(matrix), dtype=matrix.dtype)}


# 1e-6 in float64: the residual is asked under 1e-7, and the error is of its square.
@pytest.mark.parametrize("spectrum", SPECTRA.values(), ids=SPECTRA)
def test_known_spectrum(spectrum: list[float]) -> None:
    matrix = symmetric(spectrum)
    got = top_eigenvalue([quadratic(matrix)], at(matrix), tolerance=1e-7)
    assert got.value == pytest.approx(max(spectrum), rel=1e-6)
    assert got.converged
    assert got.residual <= 1e-7
    assert got.iterations <= len(spectrum)


@pytest.mark.parametrize("spectrum", SPECTRA.values(), ids=SPECTRA)
def test_smallest_end(spectrum: list[float]) -> None:
    matrix = symmetric(spectrum)
    got = top_eigenvalue([quadratic(matrix)], at(matrix), tolerance=0)  # runs until the space is exhausted
    assert got.smallest == pytest.approx(min(spectrum), rel=1e-6, abs=1e-12)
    assert got.smallest_residual == pytest.approx(0, abs=1e-6)
    assert got.iterations == len(set(spectrum))  # one product for each distinct eigenvalue


@pytest.mark.parametrize(
    "spectrum", [[0.0, -1.0, -2.0], [0.0] * 9 + [-5.0]], ids=["three values", "rank one"]
)
def test_a_largest_eigenvalue_of_zero_is_found_to_rounding(spectrum: list[float]) -> None:
    matrix = symmetric(spectrum)
    got = top_eigenvalue([quadratic(matrix)], at(matrix))
    assert got.value == pytest.approx(0, abs=1e-12)
    assert got.converged
    assert got.residual <= 1e-12  # relative to the radius: relative to a zero it would mean nothing


def test_zero_hessian() -> None:
    for loss in (quadratic(torch.zeros(5, 5)), lambda p: p["w"].sum()):
        got = top_eigenvalue([loss], {"w": torch.ones(5)})
        assert (got.value, got.residual, got.converged) == (0.0, 0.0, True)


# float32 resolves the Hessian of this net to 1e-5; the eigenvalue is asked to 1e-6 (residual 1e-3, squared).
@pytest.mark.parametrize(("net", "rel"), [("net64", 1e-6), ("net32", 1e-4)])
def test_conv_net_against_the_dense_hessian(
    net: str, rel: float, dense: Tensor, request: pytest.FixtureRequest
) -> None:
    toy: SmallNet = request.getfixturevalue(net)
    spectrum = torch.linalg.eigvalsh(dense)
    got = top_eigenvalue(toy.chunks(12), toy.params, iterations=60)
    assert got.value == pytest.approx(float(spectrum[-1]), rel=rel)
    assert got.converged
    assert got.iterations <= 30  # and not all of the 196 dimensions
    assert got.smallest >= float(spectrum[0]) * (1 + rel)  # a bound from above of a negative number
    assert spectrum[0] < 0


def test_residual_is_that_of_the_true_pair(net64: SmallNet, dense: Tensor) -> None:
    """An eigenvalue lies within residual * |value|, at every stage; what has not converged says so."""
    spectrum = torch.linalg.eigvalsh(dense)
    for iterations in (1, 2, 4, 8):
        got = top_eigenvalue(net64.chunks(12), net64.params, iterations=iterations, tolerance=1e-9)
        assert not got.converged
        assert got.iterations == iterations
        assert got.residual > 1e-9
        assert (spectrum - got.value).abs().min() <= got.residual * abs(got.value)


def test_stops_early_under_the_tolerance(net64: SmallNet) -> None:
    loose, tight = (
        top_eigenvalue(net64.chunks(12), net64.params, iterations=100, tolerance=t) for t in (1e-1, 1e-6)
    )
    assert loose.iterations < tight.iterations < 100
    assert 1e-6 < loose.residual <= 1e-1
    assert tight.residual <= 1e-6


def test_chunks_do_not_matter(net64: SmallNet) -> None:
    whole, parts = (top_eigenvalue(net64.chunks(size), net64.params) for size in (12, 3))
    assert parts.value == pytest.approx(whole.value, rel=1e-9)  # float64, another order of summing
    assert parts.iterations == whole.iterations


def test_seed_decides_and_nothing_else(net64: SmallNet) -> None:
    def run(seed: int) -> object:
        torch.rand(1)  # the global generator has no say
        return top_eigenvalue(net64.chunks(12), net64.params, seed=seed, iterations=4)

    assert run(0) == run(0)
    assert run(0) != run(1)


def test_progress_counts_products() -> None:
    matrix = symmetric([4.0, 2.0, 1.0])
    seen: list[tuple[int, int]] = []
    got = top_eigenvalue(
        [quadratic(matrix)], at(matrix), tolerance=0, progress=lambda done, most: seen.append((done, most))
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert got.iterations == 3


def test_weight_scale_before_batchnorm_changes_the_eigenvalue_of_the_same_function() -> None:
    """The documented trap: the function is the same, its largest eigenvalue is not."""
    toy, scaled = SmallNet(), SmallNet()
    conv, norm = scaled.net[0], scaled.net[1]
    rescale_(conv, norm, 4.0)
    torch.testing.assert_close(scaled.net(scaled.images), toy.net(toy.images))
    before, after = (top_eigenvalue(t.chunks(12), t.params).value for t in (toy, scaled))
    assert abs(after / before - 1) > 0.1


def rescale_(conv: torch.nn.Module, norm: torch.nn.Module, c: float) -> None:
    """w -> c w with the statistics that follow, so that the eval-mode function stays exactly as it is."""
    with torch.no_grad():
        conv.weight.mul_(c)
        norm.running_mean.mul_(c)
        norm.running_var.mul_(c**2)
        norm.eps *= c**2


def test_refuses_what_it_cannot_do() -> None:
    loss = quadratic(torch.eye(2))
    with pytest.raises(ValueError, match="at least one tensor"):
        top_eigenvalue([loss], {})
    with pytest.raises(ValueError, match="at least one loss"):
        top_eigenvalue([], {"w": torch.ones(2)})
    with pytest.raises(ValueError, match="iterations >= 1, got 0"):
        top_eigenvalue([loss], {"w": torch.ones(2)}, iterations=0)
    with pytest.raises(FloatingPointError, match="finite Hessian-vector product"):
        top_eigenvalue([lambda p: p["w"].pow(2).sum() * math.inf], {"w": torch.ones(2)})


def test_flatten_follows_the_sorted_names() -> None:
    assert flatten({"b": torch.ones(1), "a": torch.zeros(2, 1)}).tolist() == [0, 0, 1]
