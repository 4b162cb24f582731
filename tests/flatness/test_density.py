"""Spectral densities: moments against dense Hessians, atoms against known spectra, what smoothing adds."""

import math

import pytest
import torch
from torch import Tensor

from flatqat.flatness.density import quadrature, smoothed, spectral_density
from tests.helpers.flatness_toys import SmallNet, quadratic, symmetric


def moments(matrix: Tensor, most: int) -> list[float]:
    """tr(A^k) / n for k = 0 .. most."""
    spectrum = torch.linalg.eigvalsh(matrix)
    return [float(spectrum.pow(k).mean()) for k in range(most + 1)]


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_full_basis_of_probes_gives_the_moments_exactly(steps: int) -> None:
    """m steps are exact up to degree 2m - 1, and the unit vectors sum to the trace."""
    matrix = symmetric([5.0, 4.0, 2.5, 1.0, 0.5, 0.0, -0.2, -3.0])
    rules = [quadrature(lambda v: matrix @ v, unit, steps=steps) for unit in torch.eye(8).double()]
    got = [sum(float(weights @ nodes.pow(k)) for nodes, weights in rules) / 8 for k in range(2 * steps)]
    assert got == pytest.approx(moments(matrix, 2 * steps - 1), rel=1e-10, abs=1e-12)  # float64 rounding
    beyond = sum(float(weights @ nodes.pow(2 * steps)) for nodes, weights in rules) / 8
    assert abs(beyond - moments(matrix, 2 * steps)[-1]) > 1e-3  # one degree more is an approximation


def test_a_full_basis_on_the_conv_net(net64: SmallNet, dense: Tensor) -> None:
    rules = [quadrature(lambda v: dense @ v, unit, steps=2) for unit in torch.eye(196).double()]
    got = smoothed(rules, width=0.01)
    first, second = moments(dense, 2)[1:]
    assert got.mean == pytest.approx(first, rel=1e-9)
    assert got.mean_square == pytest.approx(second, rel=1e-9)


def test_moments_of_a_few_probes_are_within_their_error(net64: SmallNet, dense: Tensor) -> None:
    got = spectral_density(net64.chunks(12), net64.params, steps=10, probes=40)
    first, second = moments(dense, 2)[1:]
    assert abs(got.mean - first) < 4 * got.mean_stderr
    assert abs(got.mean_square - second) < 4 * got.mean_square_stderr
    assert got.mean_square_stderr < 0.1 * second  # sharp enough to see a factor
    hutchinson = math.sqrt(2 * float(dense.square().sum() - dense.diag().square().sum()) / 40) / 196
    assert got.mean_stderr == pytest.approx(hutchinson, rel=0.5)  # a spread over 40 probes is known to 11%


def test_it_integrates_to_one_and_smoothing_adds_its_variance(net64: SmallNet) -> None:
    got = spectral_density(net64.chunks(12), net64.params, steps=10, probes=3, width=0.05)
    grid, density = (
        torch.tensor(got.grid, dtype=torch.float64),
        torch.tensor(got.density, dtype=torch.float64),
    )
    integral = [float(torch.trapezoid(density * grid.pow(k), grid)) for k in range(3)]
    assert integral[0] == pytest.approx(1, abs=1e-6)  # 6e-7 lies beyond 5 widths
    assert integral[1] == pytest.approx(got.mean, rel=1e-3)
    assert integral[2] == pytest.approx(got.mean_square + got.width**2, rel=1e-3)
    for weights in got.weights:
        assert sum(weights) == pytest.approx(1, abs=1e-12)
        assert min(weights) >= 0


def test_atoms_of_a_known_spectrum() -> None:
    """Once the space is exhausted the nodes are the eigenvalues, with weights z_k^2 / n of each probe."""
    spectrum = [-3.0, 0.0, 1.0, 7.0]
    matrix = symmetric(spectrum)
    got = spectral_density([quadratic(matrix)], {"w": torch.ones(4).double()}, steps=9, probes=3)
    _, vectors = torch.linalg.eigh(matrix)
    for nodes, weights in zip(got.nodes, got.weights, strict=True):
        assert nodes == pytest.approx(spectrum, abs=1e-10)
        shares = [
            (vectors.T @ signs.double()).square() / 4
            for signs in torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 4)
        ]
        assert any(weights == pytest.approx(share.tolist(), abs=1e-10) for share in shares)
    assert got.width == pytest.approx(0.01 * 10)


@pytest.mark.parametrize(("value", "width"), [(2.5, 2.5e-5), (-4.0, 4e-5), (0.0, 0.01)])
def test_a_spectrum_of_one_point(value: float, width: float) -> None:
    matrix = value * torch.eye(5).double()
    got = spectral_density([quadratic(matrix)], {"w": torch.ones(5).double()}, steps=3, probes=2)
    assert [node for nodes in got.nodes for node in nodes] == pytest.approx([value] * 2, abs=1e-12)
    assert got.width == pytest.approx(width)
    grid, density = (torch.tensor(part, dtype=torch.float64) for part in (got.grid, got.density))
    assert float(torch.trapezoid(density, grid)) == pytest.approx(1, abs=1e-6)
    assert abs(got.grid[int(density.argmax())] - value) <= width  # the peak is there


def test_the_density_is_that_of_the_dense_spectrum(net64: SmallNet, dense: Tensor) -> None:
    """The share of eigenvalues above a threshold, within its sampling error."""
    spectrum = torch.linalg.eigvalsh(dense)
    threshold = 0.05 * float(spectrum[-1])
    expected = float((spectrum > threshold).double().mean())
    got = spectral_density(net64.chunks(12), net64.params, steps=30, probes=40)
    shares = torch.tensor(
        [
            sum(weight for node, weight in zip(nodes, weights, strict=True) if node > threshold)
            for nodes, weights in zip(got.nodes, got.weights, strict=True)
        ]
    )
    assert abs(float(shares.mean()) - expected) < 4 * float(shares.std()) / math.sqrt(40)
    assert float(shares.std()) / math.sqrt(40) < 0.2 * expected


def test_chunks_do_not_matter(net64: SmallNet) -> None:
    whole, parts = (spectral_density(net64.chunks(s), net64.params, steps=4, probes=2) for s in (12, 3))
    assert parts.mean_square == pytest.approx(whole.mean_square, rel=1e-9)
    assert parts.width == pytest.approx(whole.width, rel=1e-6)
    assert parts.density == pytest.approx(whole.density, rel=1e-6)
    for rule, other in zip((*parts.nodes, *parts.weights), (*whole.nodes, *whole.weights), strict=True):
        assert rule == pytest.approx(other, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(("width", "points"), [(0.01, 441), (0.05, 121), (0.03, 175)])
def test_the_length_of_the_grid_does_not_follow_from_rounding(width: float, points: int) -> None:
    """4 (1 / width + 10) steps, rounded up: no last digit of a node decides, and no near-tie of all nodes."""
    generator = torch.Generator().manual_seed(0)
    shares = torch.full((4,), 0.25, dtype=torch.float64)
    for _ in range(20):
        nodes = torch.randn(2, 4, generator=generator, dtype=torch.float64)
        for spectrum in (nodes, torch.ones_like(nodes), torch.zeros_like(nodes)):
            noise = 1e-12 * torch.randn(2, 4, generator=generator, dtype=torch.float64)
            got = smoothed([(near, shares) for near in spectrum * (1 + noise)], width=width)
            assert len(got.grid) == len(got.density) == points


def test_seed_decides_and_nothing_else() -> None:
    loss, params = quadratic(symmetric([3.0, 2.0, 1.0])), {"w": torch.ones(3).double()}
    state = torch.get_rng_state()
    first = spectral_density([loss], params, steps=2, probes=2)
    assert torch.equal(state, torch.get_rng_state())
    assert spectral_density([loss], params, steps=2, probes=2) == first
    assert spectral_density([loss], params, steps=2, probes=2, seed=4) != first


def test_progress_counts_products_and_what_an_exhausted_space_spares() -> None:
    seen: list[tuple[int, int]] = []
    loss, params = quadratic(torch.eye(3).double()), {"w": torch.ones(3).double()}
    spectral_density([loss], params, steps=3, probes=2, progress=lambda *at: seen.append(at))
    assert seen == [(1, 6), (3, 6), (4, 6), (6, 6)]


def test_refuses_what_it_cannot_do() -> None:
    params = {"w": torch.ones(2)}
    for wrong in ({"steps": 1}, {"probes": 1}, {"width": 0.0}):
        with pytest.raises(ValueError, match="steps >= 2, probes >= 2 and width > 0"):
            spectral_density([quadratic(torch.eye(2))], params, **wrong)
    with pytest.raises(FloatingPointError, match="finite Hessian-vector product"):
        spectral_density([lambda p: p["w"].pow(2).sum() * math.inf], params)
