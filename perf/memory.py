"""Bytes kept for the backward pass.

Counted, not estimated: every storage that autograd saves in the forward pass of a step, once, without
parameters, buffers and the images. The unit is the same in full precision.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from perf.networks import NETWORKS, Network, rule
from perf.peers import PEERS
from perf.rounds import NOT_INSTALLED, Row, Spread

GOAL = "≤ 1.5"
WIDE = Network("ResNet-18 at 224 pixels", "torchvision:resnet18", 16, 224)  # the usual size of its images


def rows(rounds: int) -> list[Row]:
    return [_row(network) for network in (WIDE, *NETWORKS[1:])]


def _row(network: Network) -> Row:
    full = saved_bytes(network, "fp", "fp")
    peers: dict[str, Spread | str] = {}
    for name, quantize in PEERS.items():
        try:
            peers[name] = Spread.of([saved_bytes(network, "fp", "fp", quantize) / full])
        except ImportError:
            peers[name] = NOT_INSTALLED
    ours = saved_bytes(network, "qat", "4") / full
    return Row(name=f"bytes saved by QAT / FP, {network}", value=ours, peers=peers, goal=GOAL)


def saved_bytes(
    network: Network, method: str, bits: str, quantize: Callable[[nn.Module], None] | None = None
) -> int:
    """Return the bytes that one forward pass in training leaves for the backward pass."""
    model, (x, y) = rule(network, method, bits, quantize=quantize).model.train(), network.examples()
    model(x)  # what is set up by the first pass is not counted
    known = {t.untyped_storage().data_ptr() for t in (x, y, *model.parameters(), *model.buffers())}
    kept: dict[int, torch.UntypedStorage] = {}  # holds them, so that no address is used twice

    def pack(saved: Tensor) -> Tensor:
        storage = saved.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage
        return saved

    with saved_tensors_hooks(pack, lambda saved: saved):
        nn.functional.cross_entropy(model(x), y)
    return sum(storage.nbytes() for storage in kept.values())
