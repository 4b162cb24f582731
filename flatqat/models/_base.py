"""A model source, the network it builds, and how that network expects its images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from flatqat import registry
from flatqat.errors import UsageError, unknown

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Normalized(nn.Module):
    """A network behind its own normalisation: images in [0, 1] of shape (B, 3, H, W) to its output."""

    mean: Tensor
    std: Tensor

    def __init__(self, net: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    def normalize(self, images: Tensor) -> Tensor:
        """What the network itself sees."""
        return (images - self.mean) / self.std

    def forward(self, images: Tensor) -> Tensor:
        output: Tensor = self.net(self.normalize(images))
        return output


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """`build(name, classes)` makes an untrained network; `names()` lists what it can build.

    A source without names of its own (`tiny`) lists the empty name.
    """

    names: Callable[[], Sequence[str]]
    build: Callable[[str, int], Normalized]


def build(model: str, *, classes: int, seed: int) -> Normalized:
    """Build `source:name` with freshly drawn weights from `seed`. Raises UsageError on unknown names."""
    source_name, _, name = model.partition(":")
    source: Source = registry.load(registry.MODELS, source_name)
    check_name(source, source_name, name)
    with torch.random.fork_rng(devices=[]):  # initialisers of every library draw from the global generator
        torch.manual_seed(seed)
        return source.build(name, classes)


def check_name(source: Source, source_name: str, name: str) -> None:
    """Refuse a name that the source does not build."""
    if name in source.names():
        return
    if source.names() == [""]:
        raise UsageError(f"model {source_name!r}: expected no name after it, got {name!r}")
    if not name:
        raise UsageError(
            f"model {source_name!r}: expected '{source_name}:NAME', got no name; "
            f"see: flatqat models list '{source_name}:*'"
        )
    raise unknown(f"{source_name} model", name, source.names())
