"""Time of every corruption for one image, on one thread, beside imagecorruptions-imaug if it is installed.

    python perf/corruptions.py [--seconds 1] [--sizes 32 224]

flatqat takes batches, the rival one image a call, which is all it takes. It knows one table of severities,
made for 224 pixels, and uses it at 32 too. Every call is made once before it is timed: the rival compiles its
glass_blur for seconds, and flatqat keeps small tables.
"""

import argparse
import importlib
import time
import warnings
from collections.abc import Callable
from functools import partial
from math import inf

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from flatqat.bench.cell.environment import keep_freed_memory
from flatqat.data.corruptions.apply import corrupt
from flatqat.data.corruptions.names import NAMES, SEVERITIES, Table

TABLES: dict[int, Table] = {32: "cifar", 224: "imagenet"}
BATCH = 256  # as in flatqat.bench.engine.evaluate
THEIRS = 8  # images of the rival in a turn: enough for it to run with warm caches


def pictures(count: int, size: int) -> Tensor:
    """uint8 (count, 3, size, size): smooth patches of colour with noise."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 6, 6, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic")
    return ((smooth + torch.randn(smooth.shape, generator=generator) * 0.05).clamp(0, 1) * 255).byte()


def seconds_of(calls: list[Callable[[], object]], seconds: float) -> list[float]:
    """CPU seconds of each call, taken in turns; the best of all rounds, since what else runs on the machine
    can only slow one down."""
    for call in calls:
        call()
    best = [inf] * len(calls)
    end = time.perf_counter() + seconds
    while inf in best or time.perf_counter() < end:
        for i, call in enumerate(calls):
            start = time.thread_time()
            call()
            best[i] = min(best[i], time.thread_time() - start)
    return best


def rival() -> Callable[..., object] | None:
    try:
        module = importlib.import_module("imagecorruptions")
        importlib.import_module("cv2").setNumThreads(1)
    except ImportError as error:
        print(f"without imagecorruptions-imaug: {error}")
        return None
    corrupt_one: Callable[..., object] = module.corrupt
    return corrupt_one


def compare(size: int, seconds: float, theirs: Callable[..., object] | None) -> None:
    """Print one table."""
    images = pictures(BATCH if size < 100 else BATCH // 8, size)
    ids, table = torch.arange(len(images)), TABLES[size]
    singles = images[:THEIRS].permute(0, 2, 3, 1).contiguous().numpy()
    print(f"\n{size} pixels, batches of {len(images)}, milliseconds an image, mean over five severities")
    print(f"{'corruption':<20}{'flatqat':>12}{'imaug':>12}{'ratio':>9}")
    sums = {"the 15": np.zeros(2), "all 19": np.zeros(2)}
    for name, family in NAMES.items():
        each = np.zeros(2)
        for severity in SEVERITIES:
            calls = [partial(corrupt, images, ids, name=name, severity=severity, table=table)]
            if theirs:
                calls.append(partial(one_by_one, theirs, singles, corruption_name=name, severity=severity))
            best = seconds_of(calls, seconds / len(SEVERITIES))
            each[: len(best)] += np.divide(best, [len(images), THEIRS][: len(best)]) / len(SEVERITIES)
        print(f"{name:<20}" + columns(each), flush=True)
        sums["all 19"] += each
        sums["the 15"] += each * (family != "extra")
    for which, total in sums.items():
        print(f"{which:<20}" + columns(total))


def one_by_one(corrupt_one: Callable[..., object], images: npt.NDArray[np.uint8], **which: object) -> None:
    for image in images:
        corrupt_one(image, **which)


def columns(seconds: npt.NDArray[np.float64]) -> str:
    ours, theirs = seconds * 1e3
    return f"{ours:>12.4f}" + (f"{theirs:>12.4f}{theirs / ours:>9.2f}" if theirs else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each figure")
    parser.add_argument("--sizes", type=int, nargs="+", choices=TABLES, default=list(TABLES))
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    warnings.simplefilter("ignore", RuntimeWarning)  # the rival divides by zero where no drop falls
    theirs = rival()
    for size in args.sizes:
        compare(size, args.seconds, theirs)


if __name__ == "__main__":
    main()
