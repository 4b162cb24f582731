"""Short trainings of small networks, for the checks of methods."""

from typing import Any

import torch
from torch import Tensor, nn

from flatqat.methods.base import Batch, Calibration, Method, Setup, loss_of
from flatqat.metrics.loss import Loss, cross_entropy
from flatqat.models.segmentation import training_only
from flatqat.quant.apply import quantize_
from flatqat.spec import QuantSpec, Recipe
from flatqat.testing._toys import CLASSES, toy_images

RECIPE = Recipe(pretrain_steps=3, steps=3, batch_size=16)


def quantized(net: nn.Module, bits: str, method_class: type[Method]) -> nn.Module:
    """Return the network with the bits of a specification, if the method quantizes."""
    quantize_(net, QuantSpec.parse(bits) if method_class.quantizes else QuantSpec())
    return net


def network(bits: str, method_class: type[Method]) -> nn.Module:
    """Return a small convolutional network, the same one at every call."""
    with torch.random.fork_rng(devices=[]):  # initial weights come from the global generator
        torch.manual_seed(0)
        stem = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()
        body = nn.Conv2d(4, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()
        net = nn.Sequential(*stem, *body, nn.Flatten(), nn.Linear(8 * 64, CLASSES))
    return quantized(net, bits, method_class)


class Pixelwise(nn.Module):
    """Logits per pixel; in training also those of an auxiliary head, with its weight."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
            self.body = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
            self.auxiliary = training_only(nn.Conv2d(4, CLASSES, 1))
            self.head = nn.Conv2d(8, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor | tuple[tuple[float, Tensor], ...]:
        early = self.stem(x)
        logits: Tensor = self.head(self.body(early))
        return ((1.0, logits), (0.4, self.auxiliary(early))) if self.training else logits


def ready(
    method_class: type[Method], bits: str, device: str | torch.device = "cpu", *, search: bool = True
) -> tuple[nn.Module, Method, Batch]:
    """Return the network, the method after `begin`, and the batch to train on."""
    net = network(bits, method_class).to(device)
    batch = toy_images(16).to(device), (torch.arange(16) % CLASSES).to(device)
    return net, begun(method_class, net, cross_entropy, batch, search=search), batch


def begun(
    method_class: type[Method], net: nn.Module, loss: Loss, batch: Batch, *, search: bool = True
) -> Method:
    """Return the method after `begin` on a batch; the loss for validation is that of its mirrored images.

    Without `search`, ranges are those of all values: much quicker, where training is what matters.
    """
    x, y = batch
    calibrates = issubclass(method_class.Config, Calibration)
    config: Any = None if search or not calibrates else method_class.Config(ranges="minmax")

    def val_loss() -> float:
        with torch.no_grad():
            return loss(net.eval()(x.flip(3)), y).item()

    method = method_class(Setup(model=net, loss=loss, recipe=RECIPE, val_loss=val_loss), config)
    method.begin([batch])
    return method


def train(method_class: type[Method], bits: str, steps: int | None = None) -> tuple[nn.Module, list[Tensor]]:
    """Return the network after `steps` steps, by default all, with the loss of each."""
    net, method, batch = ready(method_class, bits)
    return net, run(method, batch, steps)


def run(method: Method, batch: Batch, steps: int | None = None) -> list[Tensor]:
    """Take `steps` steps, by default all, and end the training; returns the loss of each."""
    losses = [loss_of(method.step(*batch)) for _ in range(method.total_steps if steps is None else steps)]
    method.end([batch])
    return losses
