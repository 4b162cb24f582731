"""What all sections share: the device, the size of the work, its clock, and images."""

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from perf.networks import Network
from perf.rounds import Call, turns

TINY = Network("tiny", "tiny", 8, 32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Where the acceptance runs; `tiny` runs every check on little work."""

    device: torch.device
    tiny: bool

    @property
    def cuda(self) -> bool:
        return self.device.type == "cuda"

    @property
    def places(self) -> tuple[torch.device, torch.device]:
        """The CPU, which is right by definition, and the device."""
        return torch.device("cpu"), self.device

    def clock(self) -> float:
        """Seconds, once the device has done what was asked of it."""
        if self.cuda:
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def timed(self, calls: dict[str, Call]) -> dict[str, list[float]]:
        """Return the seconds of each call in rounds; short calls are many between two waits."""
        rounds, shortest = (1, 0.0) if self.tiny else (5, 0.1)
        return turns(calls, rounds, clock=self.clock, shortest=shortest)

    def waits(self, call: Call) -> int:
        """Return how often a call makes the host wait for the device; 0 where there is none."""
        call()
        if not self.cuda:
            return 0
        torch.cuda.synchronize(self.device)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                call()
            finally:
                torch.cuda.set_sync_debug_mode("default")
        return sum("synchronizing CUDA operation" in str(warning.message) for warning in caught)

    @contextmanager
    def peak(self) -> Iterator[Callable[[], float]]:
        """Yield a function that returns the MiB used so far at the most, beyond what was there before."""
        if self.cuda:
            torch.cuda.synchronize(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
            before = torch.cuda.memory_allocated(self.device)
            yield lambda: (torch.cuda.max_memory_allocated(self.device) - before) / 2**20
        else:
            yield lambda: float("nan")


def pictures(count: int, size: int) -> Tensor:
    """uint8 (count, 3, size, size): smooth patches of color with noise."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 6, 6, generator=generator)
    smooth = F.interpolate(coarse, size=(size, size), mode="bicubic")
    return ((smooth + torch.randn(smooth.shape, generator=generator) * 0.05).clamp(0, 1) * 255).byte()


def apart(a: Tensor, b: Tensor) -> float:
    """Return the largest difference, in units of the largest value of `b`."""
    if not a.numel():
        return 0.0
    a, b = a.detach().double().cpu(), b.detach().double().cpu()
    return float((a - b).abs().max() / b.abs().max().clamp_min(1e-12))
