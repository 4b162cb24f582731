"""Top Hessian eigenvalue compared with PyHessian and curvlinops, and the cost of a Hessian-vector product.

ResNet-20 in full precision after some steps of training, BatchNorm in eval mode, the same images for all. A
product is in units of a gradient. For the eigenvalue, all tools reach a residual ||Hv - λv|| / λ of at most
0.001; for the peers, the loosest tolerance that does so was found before the rounds. PyHessian uses power
iteration, curvlinops scipy's eigsh. The time includes everything that a tool builds first, such as graphs.
"""

import importlib
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from flatqat.flatness.derivatives import gradient, hessian_product
from flatqat.flatness.hessian import top_eigenvalue
from flatqat.flatness.params import LossFn, Params, flatten, rademacher
from perf.networks import Network, rule
from perf.rounds import Call, Row, built, row, turns

RESIDUAL = 1e-3
TOLERANCES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
NETWORK = Network("ResNet-20", "cifar:resnet20", 32, 32)
STEPS, CHUNKS = 30, 4
Solve = Callable[[float], Tensor]  # tolerance -> unit eigenvector, flat in the model's order of parameters


def rows(rounds: int) -> list[Row]:
    model, (x, y) = trained(), NETWORK.examples()
    params = {name: p.detach() for name, p in model.named_parameters()}
    losses = [_loss(model, *part) for part in zip(x.chunk(CHUNKS), y.chunk(CHUNKS), strict=True)]
    return [*_products(model, losses, params, rounds), _eigenvalue(model, (x, y), params, rounds)]


def trained() -> nn.Module:
    """The network in eval mode, away from its random start."""
    begun, batch = rule(NETWORK, "fp", "fp"), NETWORK.examples()
    for _ in range(STEPS):
        begun.step(*batch)
    return begun.model.eval()


def _loss(model: nn.Module, x: Tensor, y: Tensor) -> LossFn:
    return lambda params: F.cross_entropy(functional_call(model, params, (x,)), y)


def _products(model: nn.Module, losses: list[LossFn], params: Params, rounds: int) -> list[Row]:
    vector = rademacher(flatten(params), torch.Generator().manual_seed(0))
    kept, rebuilt = hessian_product(losses, params), hessian_product(losses, params, memory=0)
    calls: dict[str, Call] = {
        "gradient": lambda: gradient(losses, params),
        "kept": lambda: kept(vector),
        "rebuilt": lambda: rebuilt(vector),
    }
    times, name = turns(calls, rounds), f"Hessian-vector product / gradient, {NETWORK}, {CHUNKS} chunks"
    return [
        row(name, times, "kept", "gradient", goal="≤ 2.8"),
        row(f"{name}, no memory for graphs", times, "rebuilt", "gradient"),
    ]


def _eigenvalue(model: nn.Module, batch: tuple[Tensor, Tensor], params: Params, rounds: int) -> Row:
    loss = _loss(model, *batch)
    solvers, absent = built(
        {"PyHessian": partial(pyhessian, model, batch), "curvlinops": partial(curvlinops, model, batch)}
    )
    calls: dict[str, Call] = {"flatqat": lambda: top_eigenvalue([loss], params, tolerance=RESIDUAL)}
    for name, solve in solvers.items():
        tolerance = largest_tolerance(solve, loss, params)
        if tolerance is None:
            absent[name] = f"residual above {RESIDUAL}"
        else:
            calls[name] = partial(solve, tolerance)
    peers = [name for name in calls if name != "flatqat"]
    return row(
        f"λmax to a residual of {RESIDUAL}, {NETWORK}",
        turns(calls, rounds),
        "flatqat",
        "flatqat",
        peers=peers,
        absent=absent,
    )


def largest_tolerance(solve: Solve, loss: LossFn, params: Params) -> float | None:
    """Return the largest of TOLERANCES with which the residual is reached."""
    product = hessian_product([loss], params)
    names = list(params)
    for tolerance in TOLERANCES:
        parts = solve(tolerance).split([params[name].numel() for name in names])
        vector = flatten(dict(zip(names, parts, strict=True)))
        image = product(vector)
        value = vector @ image
        if (image - value * vector).norm() <= RESIDUAL * value.abs():
            return tolerance
    return None


def pyhessian(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Solve:
    hessian = importlib.import_module("pyhessian").hessian

    def solve(tolerance: float) -> Tensor:
        torch.manual_seed(0)
        model.zero_grad()
        made = hessian(model, F.cross_entropy, data=batch, cuda=False)
        _, (vector,) = made.eigenvalues(maxIter=300, tol=tolerance)
        model.zero_grad()
        return torch.cat([part.detach().flatten() for part in vector])

    return solve


def curvlinops(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Solve:
    operator = importlib.import_module("curvlinops").HessianLinearOperator
    eigsh = importlib.import_module("scipy.sparse.linalg").eigsh

    def solve(tolerance: float) -> Tensor:
        made = operator(
            model, nn.CrossEntropyLoss(), list(model.parameters()), [batch], check_deterministic=False
        )
        start = torch.randn(made.shape[0], generator=torch.Generator().manual_seed(0)).numpy()
        _, vectors = eigsh(made.to_scipy(), k=1, which="LA", tol=tolerance, v0=start)
        return torch.from_numpy(vectors[:, 0]).float()

    return solve
