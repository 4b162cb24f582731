"""How long it takes to make the images of a set: to read, decode, render or corrupt them."""

import os
from time import perf_counter

import torch

from flatqat.data.tensors.image_data import ImageData

FEW = 4


def wait_for(device: torch.device) -> None:
    """Wait until a GPU has computed what it was told to; a CPU already has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_to_make(data: ImageData, device: torch.device, workers: int) -> float:
    """Return about how many seconds all images of a set take in `workers` threads, by its last few.

    Images that are made for several sets at once take their time in the first of them.
    """
    timed = torch.arange(max(0, len(data) - FEW), len(data))
    data.batch((timed - FEW).clamp(min=0)[:1], device)  # opens files, and compiles what is compiled
    wait_for(device)
    began = perf_counter()
    data.batch(timed, device)
    wait_for(device)
    each = (perf_counter() - began) / len(timed)
    return each * len(data) / max(1, min(workers, os.cpu_count() or 1))
