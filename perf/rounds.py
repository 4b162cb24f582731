"""How a row is measured: variants take turns, and each round gives one ratio.

The speed of a shared machine wanders by more than most differences that matter. Within one round it hardly
does, so seconds of two variants are divided round by round, and the median of the ratios is reported with
their quartiles. The clock is the CPU time of this process, which does not count what else runs.
"""

import gc
import random
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from statistics import median, quantiles
from typing import Any, NamedTuple

Call = Callable[[], object]
Clock = Callable[[], float]
SHORTEST = 0.05  # seconds of a turn; a shorter call is repeated within its turn
NOT_INSTALLED = "not installed"


class Spread(NamedTuple):
    """A median and the quartiles around it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        if len(values) < 2:
            return cls(values[0], values[0], values[0])
        low, _, high = quantiles(values, n=4, method="inclusive")
        return cls(median(values), low, high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table.

    Attributes:
        name: What is measured, in words; a ratio is written "this / that".
        value: The median of the ratios, or an exact count; None if it could not be measured here.
        low: The lower quartile; None for a count.
        high: The upper quartile; None for a count.
        peers: The same measure of other tools by their name, or why there is none ("not installed").
        goal: What it should be, written "≤ 1.15" or "≥ 1.4"; empty if nothing was set.
        note: What limits it, or why it was not measured.
    """

    name: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    peers: Mapping[str, Spread | str] = field(default_factory=dict)
    goal: str = ""
    note: str = ""

    @classmethod
    def of(cls, name: str, spread: Spread, **more: Any) -> "Row":
        return cls(name=name, value=spread.median, low=spread.low, high=spread.high, **more)


def prepare() -> None:
    """One thread, and memory kept as the product keeps it."""
    import torch

    from flatqat.bench.cell.environment import prepare as as_in_a_run

    as_in_a_run(torch.device("cpu"), 1)


def children_time() -> float:
    """CPU seconds of all processes that this one started and that have ended: a clock for whole commands."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def turns(
    calls: Mapping[str, Call], rounds: int, *, clock: Clock = time.process_time, shortest: float = SHORTEST
) -> dict[str, list[float]]:
    """Return the seconds of each call, one value a round.

    Every round calls all variants once in a random order, without garbage collection in between. Two calls of
    each before the first round are not counted. The first may compile or start a device; the second tells how
    often to repeat a call shorter than `shortest`.
    """
    for call in calls.values():
        call()
    repeats = {
        name: max(1, ceil(shortest / max(_seconds(call, 1, clock), 1e-6))) for name, call in calls.items()
    }
    order, shuffle = list(calls), random.Random(0).shuffle
    times: dict[str, list[float]] = {name: [] for name in calls}
    collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(rounds):
            shuffle(order)
            for name in order:
                times[name].append(_seconds(calls[name], repeats[name], clock))
            gc.collect()
    finally:
        if collecting:
            gc.enable()
    return times


def _seconds(call: Call, repeat: int, clock: Clock) -> float:
    began = clock()
    for _ in range(repeat):
        call()
    return (clock() - began) / repeat


def ratio(times: Sequence[float], unit: Sequence[float]) -> Spread:
    """Return the spread of the ratios of two variants, round by round."""
    return Spread.of([a / b for a, b in zip(times, unit, strict=True)])


def row(
    name: str,
    times: Mapping[str, Sequence[float]],
    ours: str,
    unit: str,
    *,
    absent: Mapping[str, str] | None = None,
    peers: Sequence[str] = (),
    speed: bool = False,
    **more: Any,
) -> Row:
    """Return the row of `ours` / `unit`, and the same of all `peers` that were timed.

    `absent` holds why others were not timed. With `speed` the ratio is one of speeds: how many times faster
    than `unit`.
    """

    def against(which: str) -> Spread:
        return ratio(times[unit], times[which]) if speed else ratio(times[which], times[unit])

    beside = {peer: against(peer) for peer in peers}
    return Row.of(name, against(ours), peers={**beside, **(absent or {})}, **more)


def built(peers: Mapping[str, Callable[[], Call]]) -> tuple[dict[str, Call], dict[str, str]]:
    """Build the calls of peers; returns those that could be built, and why the others could not."""
    calls: dict[str, Call] = {}
    absent: dict[str, str] = {}
    for name, build in peers.items():
        try:
            calls[name] = build()
        except ImportError:
            absent[name] = NOT_INSTALLED
    return calls, absent
