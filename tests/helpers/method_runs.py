"""Short trainings of a small network with one method, and comparisons of the results."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flatqat.methods.base import Setup
from flatqat.methods.qat import QAT
from flatqat.quant.apply import quantize_
from flatqat.spec import QuantSpec, Recipe

RECIPE = Recipe(pretrain_steps=4, steps=6, batch_size=16, lr=0.05)


def network(bits: str) -> nn.Module:
    """A small convolutional network, the same weights at every call."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 6, 3), nn.ReLU(), nn.Flatten(),
            nn.Linear(6 * 16, 4),
        )  # fmt: skip
    quantize_(net, QuantSpec.parse(bits))
    return net


def batches(count: int) -> list[tuple[Tensor, Tensor]]:
    """The first batches of one random sequence."""
    generator = torch.Generator().manual_seed(1)
    return [
        (torch.rand(16, 3, 8, 8, generator=generator), torch.randint(4, (16,), generator=generator))
        for _ in range(count)
    ]


def begun(method_class, config=None, *, bits: str = "3", recipe: Recipe = RECIPE):
    """A network and its method after `begin`."""
    net = network(bits)
    method = method_class(Setup(model=net, loss=F.cross_entropy, recipe=recipe), config)
    method.begin(batches(2))
    return net, method


def trained(method_class, bits: str, config=None, steps: int = 6) -> nn.Module:
    """The network after so many steps and `end`."""
    net, method = begun(method_class, config, bits=bits)
    for x, y in batches(steps):
        method.step(x, y)
    method.end(batches(3))
    return net


def values(net: nn.Module) -> dict[str, Tensor]:
    """Copies of the parameters."""
    return {name: p.detach().clone() for name, p in net.named_parameters()}


def qat_path(steps: int, point=values, recipe: Recipe = RECIPE) -> list[dict[str, Tensor]]:
    """`point` of the network before the first step of plain QAT and after each."""
    net, method = begun(QAT, recipe=recipe)
    path = [point(net)]
    for x, y in batches(steps):
        method.step(x, y)
        path.append(point(net))
    return path


def assert_equal(a: nn.Module, b: nn.Module) -> None:
    """Both networks have the same state, bit for bit."""
    for (name, first), second in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        assert torch.equal(first, second), name


def differ(a: nn.Module, b: nn.Module) -> bool:
    """Whether any parameter differs."""
    pairs = zip(a.parameters(), b.parameters(), strict=True)
    return any(not torch.equal(p, q) for p, q in pairs)
