"""A training step with 4-bit quantizers beside one in full precision.

A step is the product's own: forward pass, backward pass and SGD, with LSQ on weights and inputs, and 8 bits
in the first and last layer. Peers quantize the same network, and share everything else of the step. Of them,
torch.ao learns no scale.
"""

from functools import partial

from perf.networks import NETWORKS, Network, rule, step
from perf.peers import PEERS
from perf.rounds import Call, Row, built, row, turns

GOAL = "≤ 1.15"


def rows(rounds: int) -> list[Row]:
    return [_row(network, rounds) for network in NETWORKS]


def _row(network: Network, rounds: int) -> Row:
    others, absent = built({name: partial(_step_of, network, name) for name in PEERS})
    ours = {"FP": step(network, "fp", "fp"), "QAT": step(network, "qat", "4")}
    times = turns({**ours, **others}, rounds)
    return row(
        f"QAT step / FP step, {network}", times, "QAT", "FP", peers=list(others), absent=absent, goal=GOAL
    )


def _step_of(network: Network, peer: str) -> Call:
    begun, (x, y) = rule(network, "fp", "fp", quantize=PEERS[peer]), network.examples()
    return lambda: begun.step(x, y)
