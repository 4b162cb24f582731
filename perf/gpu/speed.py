"""How fast the device trains: figures beside their goals, and what must not happen as checks.

Times are of whole calls with the device's work done, many short ones between two waits. Speed fails no check,
because a goal was set for no particular card; waits do.
"""

from collections.abc import Iterable, Iterator

import torch
from torch.autograd import DeviceType
from torch.autograd.profiler_util import FunctionEventAvg

from flatqat.quant.ops import fake_quantize
from perf.cuda import WIDE
from perf.gpu.ledger import Entry, check, figure
from perf.gpu.setting import TINY, Setting
from perf.kernels import ONE_PASS, launches
from perf.networks import RESNET_20, Network, rule
from perf.rounds import Spread, ratio


def steps(on: Setting) -> Iterator[Entry]:
    """Steps of one-pass methods and SAM: time, memory, and whether the host waits."""
    for network in (TINY,) if on.tiny else (RESNET_20, WIDE):
        for amp in (False,) if on.tiny else (False, True):
            yield from _steps(on, network, amp)


def _steps(on: Setting, network: Network, amp: bool) -> Iterator[Entry]:
    x, y = network.examples(on.device)
    calls, peaks = {}, {}
    for method in ONE_PASS:
        with on.peak() as mebibytes:
            begun = rule(network, method, "4", device=on.device, amp=amp)
            calls[method] = lambda begun=begun: begun.step(x, y)
            for _ in range(2):
                calls[method]()
            peaks[method] = mebibytes()
    times = on.timed(calls)
    kind = f"{network}{', bfloat16' if amp else ''}"
    for method, unit, goal in (("qat", "fp", "≤ 1.15"), ("anchor", "qat", "≤ 1.05"), ("sam", "qat", "")):
        spread = ratio(times[method], times[unit])
        values = {"goal": goal} if goal else {}
        ms = 1000 * Spread.of(times[method]).median
        yield figure(f"{method} / {unit}, {kind}", ratio=spread.median, **values, ms=ms, mib=peaks[method])
    for method, call in calls.items():
        waits = on.waits(call)
        yield check(f"no wait in a step of {method}, {kind}", waits == 0, waits=waits)


def kernels(on: Setting) -> Iterator[Entry]:
    """Operations and kernels of a step, counted."""
    for network in (TINY,) if on.tiny else (RESNET_20,):
        found = {method: _launched(on, network, method) for method in ("fp", "qat", "anchor")}
        for method in ("qat", "anchor"):
            both = {
                kind: found[method][kind] / found["fp"][kind] for kind in found["fp"] if found["fp"][kind]
            }
            yield figure(
                f"{method} / fp, {network}", **both, **{f"{k}_here": v for k, v in found[method].items()}
            )


def _launched(on: Setting, network: Network, method: str) -> dict[str, int]:
    begun, (x, y) = rule(network, method, "4", device=on.device), network.examples(on.device)
    operations = len(launches(begun, x, y).launched)
    if not on.cuda:
        return {"operations": operations}
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as seen:
        begun.step(x, y)
        torch.cuda.synchronize(on.device)
    return {"operations": operations, "kernels": _kernels(seen.key_averages())}


def _kernels(events: Iterable[FunctionEventAvg]) -> int:
    """Return how many kernels ran on the device: no calls of its API, no copies and no annotations."""
    return sum(
        event.count
        for event in events
        if event.device_type == DeviceType.CUDA
        and not event.is_user_annotation
        and not event.key.startswith(("Memcpy", "Memset"))
    )


def rounding(on: Setting) -> Iterator[Entry]:
    """One activation tensor through LSQ's rounding, forward and backward, beside copying it once."""
    count = 2**12 if on.tiny else 2**26
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.randn(64, count // 64, device=on.device, dtype=dtype).requires_grad_()
        scale, zero = (
            torch.tensor([0.3], device=on.device, requires_grad=True),
            torch.zeros(1, device=on.device),
        )
        to = torch.empty_like(x)

        def ours(x=x, scale=scale) -> None:
            out = fake_quantize(x, scale, -8, 7)
            out.backward(torch.ones_like(out))

        def torchs(x=x, scale=scale, zero=zero) -> None:
            out = torch._fake_quantize_learnable_per_tensor_affine(x.float(), scale, zero, -8, 7, 1.0)
            out.backward(torch.ones_like(out))

        calls = {"flatqat": ours, "torch": torchs, "copy": lambda x=x, to=to: to.copy_(x.detach())}
        times = on.timed(calls)
        copies, of_torch = ratio(times["flatqat"], times["copy"]), ratio(times["flatqat"], times["torch"])
        yield figure(f"{dtype}", copies=copies.median, of_torch_learnable=of_torch.median)


def compiled(on: Setting) -> Iterator[Entry]:
    """A whole network through torch.compile: QAT beside full precision."""
    if not on.cuda:
        yield figure("not measured: no CUDA device")
        return
    x, y = RESNET_20.examples(on.device)
    calls = {}
    for method in ("fp", "qat"):
        begun = rule(RESNET_20, method, "4", device=on.device)
        begun.model.compile()
        began = on.clock()
        begun.step(x, y)
        yield figure(f"compiling a step of {method}", seconds=on.clock() - began)
        calls[method] = lambda begun=begun: begun.step(x, y)
    times = on.timed(calls)
    ms = 1000 * Spread.of(times["qat"]).median
    yield figure(
        "compiled qat / compiled fp, ResNet-20", ratio=ratio(times["qat"], times["fp"]).median, ms=ms
    )
