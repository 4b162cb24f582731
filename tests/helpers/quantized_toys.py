"""A small network that is trained with quantizers, its deployed counterpart, and dense Hessians."""

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
    rule = QAT(Setup(model=net, loss=lambda z, y: F.cross_entropy(z.double(), y), recipe=recipe))
    x, y = data()
    rule.begin([(x, y)])
    for _ in range(8):
        rule.step(x, y)
    rule.end([(x, y)])
    return net.eval()


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


def dense_hessian(plain: nn.Module) -> torch.Tensor:
    """The float64 Hessian in all parameters of a plain network, by double backward."""
    shapes = {name: p.shape for name, p in plain.named_parameters()}
    x, y = data()

    def loss(vector: torch.Tensor) -> torch.Tensor:
        parts = vector.split([shape.numel() for shape in shapes.values()])
        params = {n: part.view(s) for (n, s), part in zip(shapes.items(), parts, strict=True)}
        return F.cross_entropy(functional_call(plain, params, (x,)), y)

    weights = torch.cat([p.detach().flatten() for p in plain.parameters()])
    return torch.autograd.functional.hessian(loss, weights)


def dense_top(plain: nn.Module) -> float:
    """The largest eigenvalue of the dense Hessian."""
    return float(torch.linalg.eigvalsh(dense_hessian(plain))[-1])
