"""The same steps on a GPU.

Timed on the clock of the machine, with the device's work done, many short steps between two waits.
`python -m perf.gpu` measures more there, and checks that the device computes what the CPU does.
"""

import time

import torch

from perf.networks import RESNET_20, Network
from perf.rounds import Row
from perf.training import GOAL, beside_peers, title

WIDE = Network("ResNet-18 at 224 pixels, batches of 64", "torchvision:resnet18", 64, 224)
NETWORKS = (RESNET_20, WIDE)


def rows(rounds: int) -> list[Row]:
    if not torch.cuda.is_available():
        return [
            Row(name=title(network, "cuda"), goal=GOAL, note="no CUDA device here") for network in NETWORKS
        ]
    return [beside_peers(network, rounds, "cuda", _clock) for network in NETWORKS]


def _clock() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()
