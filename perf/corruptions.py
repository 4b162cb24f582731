"""Live corruptions compared with imagecorruptions-imaug.

How many times as fast flatqat is, for an image at all five severities. imagecorruptions-imaug runs the
official code's operators with numba and OpenCV. flatqat takes batches, the peer one image a call, which is
all it takes. The peer has one table of severities, made for 224 pixels, and uses it at 32 too, so that its
motion lines and blur disks are larger there than those of CIFAR-10-C.
"""

import importlib
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from flatqat.data.corruptions.apply import corrupt
from flatqat.data.corruptions.names import NAMES, SEVERITIES, Table
from perf.rounds import NOT_INSTALLED, Row, Spread, turns

Rival = Callable[..., object]
TABLES: dict[int, Table] = {224: "imagenet", 32: "cifar"}
OURS, THEIRS = {224: 64, 32: 256}, {224: 2, 32: 16}  # images in a turn
OFFICIAL = [name for name, family in NAMES.items() if family != "extra"]
MEAN, EACH = "≥ 10", "≥ 1.2"


def rows(rounds: int) -> list[Row]:
    try:
        theirs = rival()
    except ImportError:
        note = f"imagecorruptions-imaug is {NOT_INSTALLED}"
        return [Row(name=_mean(size), goal=MEAN, note=note) for size in TABLES]
    return [row for size in TABLES for row in _of_size(size, theirs, rounds)]


def _of_size(size: int, theirs: Rival, rounds: int) -> list[Row]:
    found = {name: ratios(name, size, theirs, rounds) for name in OFFICIAL}
    mean = [sum(each) / len(each) for each in zip(*found.values(), strict=True)]
    each = [Row.of(f"{name}, {size} px", Spread.of(r), goal=EACH) for name, r in found.items()]
    return [Row.of(_mean(size), Spread.of(mean), goal=MEAN), *each]


def _mean(size: int) -> str:
    return f"mean of the {len(OFFICIAL)}, {size} px"


def ratios(name: str, size: int, theirs: Rival, rounds: int) -> list[float]:
    """Return how many times as long the peer takes for an image, in each round."""
    images = pictures(OURS[size], size)
    ids = torch.arange(len(images))
    singles = images[: THEIRS[size]].permute(0, 2, 3, 1).contiguous().numpy()

    def ours() -> None:
        for severity in SEVERITIES:
            corrupt(images, ids, name=name, severity=severity, table=TABLES[size])

    def others() -> None:
        for severity in SEVERITIES:
            for image in singles:
                theirs(image, corruption_name=name, severity=severity)

    others()  # it compiles for seconds, which would count as a long call
    times = turns({"ours": ours, "others": others}, rounds)
    share = len(images) / len(singles)
    return [b * share / a for a, b in zip(times["ours"], times["others"], strict=True)]


def rival() -> Rival:
    """Return the function `corrupt` of imagecorruptions-imaug, on one thread. Raises ImportError."""
    corrupt_one: Rival = importlib.import_module("imagecorruptions").corrupt
    importlib.import_module("cv2").setNumThreads(1)
    warnings.simplefilter("ignore", RuntimeWarning)  # it divides by zero where no drop falls
    return corrupt_one


def pictures(count: int, size: int) -> Tensor:
    """uint8 (count, 3, size, size): smooth patches of color with noise."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 6, 6, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic")
    return ((smooth + torch.randn(smooth.shape, generator=generator) * 0.05).clamp(0, 1) * 255).byte()
