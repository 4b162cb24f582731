"""What each estimator costs, as documented: evaluations, gradients and products, and none of them twice."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from flatqat.flatness.apgd import worst_case_sharpness
from flatqat.flatness.code_flips import code_flips
from flatqat.flatness.density import spectral_density
from flatqat.flatness.hessian import top_eigenvalue
from flatqat.flatness.landscape import landscape
from flatqat.flatness.params import LossFn, Params
from flatqat.flatness.sharpness import average_case_sharpness, one_step_sharpness
from flatqat.flatness.step_size_noise import step_size_noise
from flatqat.flatness.trace import trace
from tests.helpers.flatness_toys import quadratic, symmetric

W = {"w": torch.ones(4, 2).double()}
LOWER, UPPER = {"w": W["w"] - 1}, {"w": W["w"] + 1}
SPECTRUM = [9.0, 7, 5, 4, 3, 2, 1, 0.5]

# Calls of every chunk's loss: with a graph, one a gradient and one for all products, and without.
COSTS: dict[str, tuple[Callable[[list[LossFn]], object], int, int]] = {
    "average_case_sharpness": (lambda losses: average_case_sharpness(losses, W, radius=0.1, draws=3), 0, 7),
    "one_step_sharpness": (lambda losses: one_step_sharpness(losses, W, rho=0.1), 1, 2),
    "apgd": (lambda losses: worst_case_sharpness(losses, W, radius=0.1, iterations=6), 7, 2),
    "flips": (lambda losses: code_flips(losses, W, LOWER, UPPER, fraction=0.5, draws=3), 0, 7),
    "rescaling": (lambda losses: step_size_noise(losses, W, size=0.1, draws=3), 0, 7),
    "landscape": (lambda losses: landscape(losses, W, points=3), 0, 9),
    "lambda_max": (lambda losses: top_eigenvalue(losses, W, iterations=4, tolerance=0), 1, 0),
    "trace": (lambda losses: trace(losses, W, steps=4, probes=3), 1, 0),
    "density": (lambda losses: spectral_density(losses, W, steps=4, probes=3), 1, 0),
}


@pytest.mark.parametrize(("measure", "graphs", "plain"), COSTS.values(), ids=COSTS)
def test_as_many_passes_as_documented(
    measure: Callable[[list[LossFn]], object], graphs: int, plain: int
) -> None:
    calls = {True: 0, False: 0}
    inner = quadratic(symmetric(SPECTRUM))

    def loss(params: Params) -> Tensor:
        calls[torch.is_grad_enabled()] += 1
        return inner(params)

    measure([loss, loss])
    assert calls == {True: 2 * graphs, False: 2 * plain}
