"""Time of every corruption for one image, on one thread, beside imagecorruptions-imaug.

    python perf/corruptions.py [--rounds 7] [--sizes 32 224]

A ratio is the rival's CPU time over that of flatqat, for one image at all five severities. The two take turns
in every round, so that whatever else slows the machine meets both. flatqat takes batches, the rival one image
a call, which is all it takes. The rival knows one table of severities, made for 224 pixels, and uses it at
32 too. Every call is made once before it is timed: the rival compiles its glass_blur for seconds, and flatqat
keeps small tables.
"""

import argparse
import importlib
import time
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flatqat.bench.cell.environment import keep_freed_memory
from flatqat.data.corruptions.apply import corrupt
from flatqat.data.corruptions.names import NAMES, SEVERITIES, Table

TABLES: dict[int, Table] = {32: "cifar", 224: "imagenet"}
BATCHES = {32: 256, 224: 64}  # images of flatqat in a turn
THEIRS = {32: 16, 224: 2}  # images of the rival in a turn
OFFICIAL = [name for name, family in NAMES.items() if family != "extra"]


def pictures(count: int, size: int) -> Tensor:
    """uint8 (count, 3, size, size): smooth patches of colour with noise."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 6, 6, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic")
    return ((smooth + torch.randn(smooth.shape, generator=generator) * 0.05).clamp(0, 1) * 255).byte()


def rival() -> Callable[..., object]:
    """Return the function `corrupt` of imagecorruptions-imaug, on one thread. Raises ImportError."""
    corrupt_one: Callable[..., object] = importlib.import_module("imagecorruptions").corrupt
    importlib.import_module("cv2").setNumThreads(1)
    warnings.simplefilter("ignore", RuntimeWarning)  # it divides by zero where no drop falls
    return corrupt_one


def seconds_of(size: int, rounds: int, names: Iterable[str] = NAMES) -> dict[str, Any]:
    """Return CPU seconds an image of each corruption, (rounds, 2): flatqat, then the rival."""
    torch.set_num_threads(1)
    keep_freed_memory()
    theirs, images = rival(), pictures(BATCHES[size], size)
    singles = images[: THEIRS[size]].permute(0, 2, 3, 1).contiguous().numpy()
    ids = torch.arange(len(images))

    def ours(name: str, severity: int) -> None:
        corrupt(images, ids, name=name, severity=severity, table=TABLES[size])

    def others(name: str, severity: int) -> None:
        for image in singles:
            theirs(image, corruption_name=name, severity=severity)

    seconds = {}
    for name in names:
        calls = [(call, partial(call, name, severity)) for severity in SEVERITIES for call in (ours, others)]
        for _, call in calls:
            call()
        seconds[name] = np.zeros((rounds, 2))
        for taken in seconds[name]:
            for which, call in calls:
                start = time.process_time()
                call()
                taken[int(which is others)] += time.process_time() - start
        seconds[name] /= (len(images) * len(SEVERITIES), len(singles) * len(SEVERITIES))
    return seconds


def ratios(size: int = 224, rounds: int = 7, names: Iterable[str] = OFFICIAL) -> dict[str, list[float]]:
    """Return how many times as long the rival takes, for each corruption and in each round."""
    return {name: (s[:, 1] / s[:, 0]).tolist() for name, s in seconds_of(size, rounds, names).items()}


def show(size: int, rounds: int) -> None:
    """Print one table."""
    print(f"\n{size} pixels, batches of {BATCHES[size]}, {rounds} rounds; milliseconds an image and ratios")
    print(f"{'corruption':<20}{'flatqat':>10}{'imaug':>10}{'ratio':>9}{'quartiles':>17}")
    medians = {}
    for name in NAMES:
        taken = seconds_of(size, rounds, [name])[name]
        low, medians[name], high = np.quantile(taken[:, 1] / taken[:, 0], (0.25, 0.5, 0.75))
        ours, theirs = np.median(taken, 0) * 1e3
        print(
            f"{name:<20}{ours:>10.4f}{theirs:>10.4f}{medians[name]:>9.2f}{low:>9.2f}{high:>8.2f}", flush=True
        )
    official = [medians[name] for name in OFFICIAL]
    print(f"the 15: mean of the medians {np.mean(official):.2f}, least {min(official):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sizes", type=int, nargs="+", choices=TABLES, default=list(TABLES))
    args = parser.parse_args()
    for size in args.sizes:
        show(size, args.rounds)


if __name__ == "__main__":
    main()
