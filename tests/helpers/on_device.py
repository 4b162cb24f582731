"""Computations on the CPU and on a pretended device, whose results must be equal to the bit."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from flatqat import registry
from flatqat.methods.base import Setup
from flatqat.metrics.loss import cross_entropy
from flatqat.spec import Recipe
from flatqat.testing.pretended import pretended_device
from flatqat.testing.pretended.notes import Notes
from tests.helpers.method_runs import batches, network

Compute = Callable[[torch.device], Sequence[Tensor]]
RECIPE = Recipe(pretrain_steps=4, steps=3, batch_size=16, lr=0.05)


def same_bits(compute: Compute) -> Notes:
    """Compute on both devices, compare all results, and return what the device saw."""
    here = [t.clone() for t in compute(torch.device("cpu"))]
    with pretended_device() as there:
        found = list(compute(there.device))
        assert found[0].device == there.device
    assert len(here) == len(found)
    for one, other in zip(here, found, strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)
    return there.notes


def training(name: str, bits: str, **settings: object) -> Compute:
    """A short training of a small network by a method: losses, and the final state of the network."""
    method_class = registry.load(registry.METHODS, name)

    def compute(device: torch.device) -> list[Tensor]:
        model = network(bits if method_class.quantizes else "fp").to(device)

        def val_loss() -> float:
            with torch.no_grad():
                return cross_entropy(model.eval()(x), y).item()

        setup = Setup(model=model, loss=cross_entropy, recipe=RECIPE, val_loss=val_loss, seed=1)
        method = method_class(setup, method_class.Config(**settings))
        drawn = [(images.to(device), labels.to(device)) for images, labels in batches(3)]
        x, y = drawn[0]
        method.begin(drawn[:1])
        losses = [
            method.step(*batch)["loss"] for batch, _ in zip(drawn, range(method.total_steps), strict=False)
        ]
        method.end(drawn[:1])
        method.log()
        return [*losses, *model.state_dict().values()]

    return compute
