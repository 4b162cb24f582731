"""The networks that training is timed on, and a training step of each as the product takes it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flatqat import registry
from flatqat.methods.base import Method, Setup
from flatqat.models.base import Normalized, build
from flatqat.quant.apply import quantize_
from flatqat.spec import QuantSpec, Recipe

RECIPE = Recipe(pretrain_steps=0, steps=100_000)  # the learning rate hardly moves


@dataclass(frozen=True, slots=True)
class Network:
    """A source of the product's, with a batch whose step takes a fraction of a second on one core."""

    title: str
    source: str
    batch: int
    pixels: int

    def build(self) -> Normalized:
        return build(self.source, classes=10, seed=0)

    def examples(self, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """Images in [0, 1] of shape (batch, 3, pixels, pixels), and labels."""
        generator = torch.Generator().manual_seed(0)
        images = torch.rand(self.batch, 3, self.pixels, self.pixels, generator=generator)
        labels = torch.randint(10, (self.batch,), generator=generator)
        return images.to(device), labels.to(device)

    def __str__(self) -> str:
        return self.title


NETWORKS = (
    Network("ResNet-18", "torchvision:resnet18", 32, 64),
    Network("ResNet-20", "cifar:resnet20", 128, 32),
    Network("MobileNetV2", "torchvision:mobilenet_v2", 16, 96),
    Network("ViT-tiny", "timm:vit_tiny_patch16_224", 4, 224),
)
RESNET_18, RESNET_20 = NETWORKS[:2]


def rule(
    network: Network,
    method: str,
    bits: str,
    *,
    quantize: Callable[[nn.Module], None] | None = None,
    device: torch.device | str = "cpu",
    amp: bool = False,
) -> Method:
    """Return a method that has begun on a fresh network, quantized by the product or by `quantize`."""
    model, (x, y) = network.build(), network.examples(device)
    chosen: type[Method] = registry.load(registry.METHODS, method)
    if quantize:
        quantize(model.net)
    else:
        quantize_(model.net, QuantSpec.parse(bits) if chosen.quantizes else QuantSpec())
    model.to(device)
    begun = chosen(Setup(model=model, loss=F.cross_entropy, recipe=RECIPE, amp=amp, val_loss=lambda: 1.0))
    begun.begin([(x, y)])
    return begun


def step(network: Network, method: str, bits: str) -> Callable[[], object]:
    """Return one training step of the product: forward, backward and optimizer."""
    begun, (x, y) = rule(network, method, bits), network.examples()
    return lambda: begun.step(x, y)
