"""How long it takes to make the images of a set: to read, decode, render or corrupt them."""

from time import perf_counter

import torch

from flatqat.bench.cell.machine import cores
from flatqat.data.tensors.image_data import ImageData

FEW, MORE = 4, 4  # images that are timed first, and how many times as many after those that took too short
LONG_ENOUGH = 0.01  # seconds, of which what any batch takes, whatever its size, is a small part


def wait_for(device: torch.device) -> None:
    """Wait until a GPU has computed what it was told to; a CPU already has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_to_make(data: ImageData, device: torch.device, workers: int) -> float:
    """Return about how many seconds all images of a set take in `workers` threads, by some of its last ones.

    Images that are made for several sets at once take their time in the first of them, and each is timed
    once: it may be kept.
    """
    end, count = len(data), min(FEW, len(data))
    data.batch(torch.tensor([max(0, end - 2 * count)]), device)  # opens files, compiles what is compiled
    while True:
        wait_for(device)
        began = perf_counter()
        data.batch(torch.arange(end - count, end), device)
        wait_for(device)
        took = perf_counter() - began
        if took >= LONG_ENOUGH or end - count < MORE * count:
            return took / count * len(data) / max(1, min(workers, cores()))
        end, count = end - count, MORE * count
