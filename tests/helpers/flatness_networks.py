"""A plain network of about 150 parameters, its quantized versions, and their dense Hessians."""

import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from flatqat.methods.base import Setup
from flatqat.methods.qat import QAT
from flatqat.quant.apply import latent_weights, quantize_
from flatqat.spec import Cell, QuantSpec, Recipe

CELL = Cell(suite="s", suite_version=1, model="m", method="qat", quant="3", recipe="b", seed=0)


def plain_network() -> nn.Module:
    """About 150 parameters, BatchNorm among them."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return nn.Sequential(
            nn.Conv2d(3, 3, 3, stride=2),
            nn.BatchNorm2d(3),
            nn.Softplus(),
            nn.Conv2d(3, 2, 2),
            nn.Flatten(),
            nn.Linear(8, 3),
        ).double()


def data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    return torch.rand(40, 3, 8, 8, dtype=torch.float64, generator=generator), torch.arange(40) % 3


def trained(bits: str) -> nn.Module:
    net = plain_network()
    quantize_(net, QuantSpec.parse(bits))
    net.double()
    recipe = Recipe(pretrain_steps=0, steps=8, batch_size=40, lr=0.2)
    method = QAT(Setup(model=net, loss=lambda z, y: F.cross_entropy(z.double(), y), recipe=recipe))
    x, y = data()
    method.begin([(x, y)])
    for _ in range(8):
        method.step(x, y)
    method.end([(x, y)])
    return net.eval()


def dense_top(net: nn.Module, params: dict[str, torch.Tensor]) -> float:
    """Largest eigenvalue of the dense float64 Hessian in `params` of a plain network."""
    x, y = data()
    names = list(params)
    shapes = [params[n].shape for n in names]

    def loss(vector: torch.Tensor) -> torch.Tensor:
        parts = vector.split([shape.numel() for shape in shapes])
        given = {n: part.view(shape) for n, part, shape in zip(names, parts, shapes, strict=True)}
        return F.cross_entropy(functional_call(net, given, (x,)), y)

    vector = torch.cat([params[n].detach().flatten() for n in names])
    return float(torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, vector))[-1])


def deployed(net: nn.Module) -> nn.Module:
    """A plain network with the rounded weights of `net` in it."""
    plain = plain_network().eval()
    state = {}
    for name, tensor in net.state_dict().items():
        if "quantizer" not in name and ".weight.0." not in name:
            state[name.replace("parametrizations.weight.original", "weight")] = tensor
    for name, (w, q) in latent_weights(net).items():
        state[name.replace("parametrizations.weight.original", "weight")] = q(w).detach()
    plain.load_state_dict(state)
    return plain
