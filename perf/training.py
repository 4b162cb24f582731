"""Steps of quantization-aware training.

A step is the product's own: forward pass, backward pass and SGD, with LSQ at 4 bits on weights and inputs,
and 8 bits in the first and last layer. The unit is a step of the same network in full precision. Peers
quantize the same network and share the rest of the step; torch.ao is the only one that learns no scale. The
goal is 1.15 for ResNet-20 and, for now, 1.25 for the other networks.
"""

import time

from perf.networks import NETWORKS, RESNET_20, Network, rule
from perf.peers import PEERS
from perf.rounds import Call, Clock, Row, built, row, turns

GOAL, FIRST = "≤ 1.15", "≤ 1.25"


def rows(rounds: int) -> list[Row]:
    goals = {network: GOAL if network is RESNET_20 else FIRST for network in NETWORKS}
    return [beside_peers(network, rounds, goal=goal) for network, goal in goals.items()]


def title(network: Network, device: str = "cpu") -> str:
    return f"QAT step / FP step, {network}{', on a GPU' * (device == 'cuda')}"


def beside_peers(
    network: Network, rounds: int, device: str = "cpu", clock: Clock = time.process_time, goal: str = GOAL
) -> Row:
    """Return the row of a network on a device."""
    x, y = network.examples(device)

    def step(method: str, bits: str, peer: str = "") -> Call:
        begun = rule(network, method, bits, quantize=PEERS.get(peer), device=device)
        return lambda: begun.step(x, y)

    others, absent = built({peer: lambda peer=peer: step("fp", "fp", peer) for peer in PEERS})
    ours = {"FP": step("fp", "fp"), "QAT": step("qat", "4")}
    times = turns({**ours, **others}, rounds, clock=clock)
    return row(title(network, device), times, "QAT", "FP", peers=list(others), absent=absent, goal=goal)
