"""Channels last in memory.

A training step with `recipe.channels_last`, in full precision and with LSQ at 4 bits, in units of the same
step without it.
"""

from flatqat.bench.cell.restore import channels_last_
from flatqat.models.base import Normalized
from perf.networks import NETWORKS, Network, step
from perf.rounds import Row, row, turns

LITE0 = Network("EfficientNet-Lite0 at 96 pixels", "timm:tf_efficientnet_lite0", 48, 96)
WIDE = Network("ResNet-18 at 224 pixels", "torchvision:resnet18", 8, 224)
RULES = {"fp": "fp", "qat": "4"}


class ChannelsLast(Network):
    """A network whose weights have their channels last."""

    def build(self) -> Normalized:
        return channels_last_(super().build())


def rows(rounds: int) -> list[Row]:
    return [of(network, method, rounds) for network in (LITE0, *NETWORKS, WIDE) for method in RULES]


def of(network: Network, method: str, rounds: int) -> Row:
    """Return the row of a network and a method."""
    other = ChannelsLast(network.title, network.source, network.batch, network.pixels)
    steps = {
        kind: step(of_kind, method, RULES[method])
        for kind, of_kind in (("with", other), ("without", network))
    }
    name = f"{method} step with channels last / without, {network}"
    return row(name, turns(steps, rounds), "with", "without")
