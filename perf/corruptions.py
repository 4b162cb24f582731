"""Images per second of every corruption, on one thread, beside imagecorruptions-imaug if it is installed.

    python perf/corruptions.py [--seconds 0.3] [--sizes 32 224]

Each figure is the mean over the five severities. The rival knows one table of severities, made for 224
pixels. Every call is made once before it is timed: the rival compiles its glass_blur for seconds, and
flatqat keeps small tables.
"""

import argparse
import importlib
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from flatqat.data.corruptions.apply import corrupt
from flatqat.data.corruptions.names import NAMES, SEVERITIES, Table

TABLES: dict[int, Table] = {32: "cifar", 224: "imagenet"}
BATCHES = {32: 128, 224: 4}


def pictures(count: int, size: int) -> Tensor:
    """uint8 (count, 3, size, size): smooth patches of colour with noise."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 6, 6, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic")
    return ((smooth + torch.randn(smooth.shape, generator=generator) * 0.05).clamp(0, 1) * 255).byte()


def per_second(call: Callable[..., object], images: int, seconds: float) -> float:
    """Images per second of `call(severity=...)`, which handles `images` of them; the best of all rounds,
    since what else runs on the machine can only slow one down."""
    for severity in SEVERITIES:
        call(severity=severity)
    rounds: list[float] = []
    end = time.perf_counter() + seconds
    while not rounds or time.perf_counter() < end:
        start = time.perf_counter()
        for severity in SEVERITIES:
            call(severity=severity)
        rounds.append(time.perf_counter() - start)
    return len(SEVERITIES) * images / min(rounds)


def rival() -> Callable[..., object] | None:
    try:
        module = importlib.import_module("imagecorruptions")
    except ImportError as error:
        print(f"without imagecorruptions-imaug: {error}")
        return None
    corrupt_one: Callable[..., object] = module.corrupt
    return corrupt_one


def compare(size: int, seconds: float, theirs: Callable[..., object] | None) -> None:
    """Print one table."""
    images = pictures(BATCHES[size], size)
    ids, table = torch.arange(len(images)), TABLES[size]
    picture = images[0].permute(1, 2, 0).contiguous().numpy()
    print(f"\n{size} pixels, batches of {len(images)}, images per second")
    print(f"{'corruption':<20}{'flatqat':>12}{'imaug':>12}{'ratio':>9}")
    seconds_each = torch.zeros(2)
    for name in NAMES:
        ours = partial(corrupt, images, ids, name=name, table=table)
        speeds = [per_second(ours, len(images), seconds)]
        if theirs:
            other = partial(theirs, picture, corruption_name=name)
            speeds.append(per_second(other, 1, seconds))
        print(f"{name:<20}" + columns(speeds), flush=True)
        seconds_each[: len(speeds)] += len(SEVERITIES) / torch.tensor(speeds)
    print(f"{'all 95':<20}" + columns((1 / seconds_each[: len(speeds)]).tolist()))
    print(f"one image through all 95: {', '.join(f'{1e3 * s:.1f} ms' for s in seconds_each.tolist() if s)}")


def columns(values: list[float]) -> str:
    text = "".join(f"{value:>12,.1f}" for value in values)
    return text + (f"{values[0] / values[1]:>9.2f}" if len(values) == 2 else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.3, help="for each figure")
    parser.add_argument("--sizes", type=int, nargs="+", choices=TABLES, default=list(TABLES))
    args = parser.parse_args()
    torch.set_num_threads(1)
    theirs = rival()
    for size in args.sizes:
        compare(size, args.seconds, theirs)


if __name__ == "__main__":
    main()
