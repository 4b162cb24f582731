"""How long one image takes in an exported file, and in the full-precision network in torch."""

from collections.abc import Callable
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from flatqat.spec import Latency

RUNS, WARM_UP = 50, 5


@torch.inference_mode()
def latency_of(
    file: Callable[[Tensor], Tensor], floating: Callable[[Tensor], Tensor], images: Tensor, runs: int = RUNS
) -> Latency:
    """Return the median and the quartiles of both for one of the images (B, 3, H, W) that run together."""
    low, median, high = quartiles(file, images, runs)
    float_low, float_median, float_high = quartiles(floating, images, runs)
    return Latency(
        median=median,
        low=low,
        high=high,
        runs=runs,
        shape=tuple(images.shape),
        float_median=float_median,
        float_low=float_low,
        float_high=float_high,
    )


def quartiles(
    call: Callable[[Tensor], Tensor], images: Tensor, runs: int, clock: Callable[[], float] = perf_counter
) -> tuple[float, float, float]:
    """Return the quartiles in milliseconds an image of `runs` calls, after a few that do not count."""
    for _ in range(WARM_UP):
        call(images)
    times = []
    for _ in range(runs):
        start = clock()
        call(images)
        times.append(1000 * (clock() - start) / len(images))
    low, median, high = np.percentile(times, (25, 50, 75)).tolist()
    return low, median, high
