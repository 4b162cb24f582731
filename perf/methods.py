"""Methods.

A training step of a method beside one of plain QAT, both with LSQ at 4 bits.
"""

from perf.networks import RESNET_18, step
from perf.rounds import Row, row, turns

METHODS = {"anchor": "≤ 1.05", "ema": "", "swad": "", "sam": ""}


def rows(rounds: int) -> list[Row]:
    times = turns({name: step(RESNET_18, name, "4") for name in ("qat", *METHODS)}, rounds)
    return [
        row(f"{name} step / QAT step, {RESNET_18}", times, name, "qat", goal=goal)
        for name, goal in METHODS.items()
    ]
