"""What a step asks of a device.

Exact counts of the operators that PyTorch dispatches in one step, without views and allocations, with the
optimizer in the form that it has on a GPU. There, small networks cost what these launches cost. An operator
of flatqat's own counts once; `python -m perf.gpu` counts the kernels themselves. A step waits for the device
where it needs a number from it, as `.item()` does.
"""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from flatqat.methods.base import Method
from perf.networks import RESNET_20, Network, rule
from perf.rounds import Row

ALLOCATIONS = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"}
NOTHING = ALLOCATIONS | {"detach", "alias", "_record_function_enter_new", "_record_function_exit"}
WAITS = {"_local_scalar_dense", "is_nonzero", "nonzero", "equal", "masked_select", "unique_dim", "_unique2"}
ONE_PASS = ("fp", "qat", "anchor", "ema", "swad", "sam")


def rows(rounds: int) -> list[Row]:
    found = {method: of_a_step(RESNET_20, method) for method in ONE_PASS}
    full, waits = len(found["fp"].launched), {method: len(count.waits) for method, count in found.items()}
    return [
        _row("QAT", "qat", "≤ 2.0", found, full),
        _row("anchor", "anchor", "≤ 2.2", found, full),
        Row(
            name=f"waits for the device in a step, the most of {', '.join(ONE_PASS)}",
            value=max(waits.values()),
            goal="≤ 0",
        ),
    ]


def _row(title: str, method: str, goal: str, found: dict[str, "Launches"], full: int) -> Row:
    count = len(found[method].launched)
    note = f"{count} beside {full}"
    return Row(name=f"kernels of a step, {title} / FP, {RESNET_20}", value=count / full, goal=goal, note=note)


class Launches(TorchDispatchMode):
    """Counts operations that compute, and operations whose result the host needs at once."""

    def __init__(self) -> None:
        super().__init__()
        self.launched: list[str] = []
        self.waits: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in WAITS:
            self.waits.append(name)
        elif not func.is_view and name not in NOTHING:
            self.launched.append(name)
        return func(*args, **(kwargs or {}))


def of_a_step(network: Network, method: str) -> Launches:
    """Return what the third step of a method launches; the first ones make buffers."""
    begun, (x, y) = rule(network, method, "4"), network.examples()
    return launches(begun, x[:4], y[:4])


def launches(begun: Method, x: torch.Tensor, y: torch.Tensor) -> Launches:
    for group in begun.optimizer.param_groups:
        group["foreach"] = True  # as on a GPU
    for _ in range(2):
        begun.step(x, y)
    with Launches() as count:
        begun.step(x, y)
    return count
