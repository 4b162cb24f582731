"""Choose the constants of `digits-c`: how strong each corruption is at each severity.

    python scripts/calibrate_digits.py [--only fog,frost]

Severity s of a corruption is the candidate at which full-precision networks keep closest to KEPT[s]
percent, on average over the networks of SEEDS and the images of `val`. Candidates go from mild to severe,
so that this is one of the two around the place where the mean falls below KEPT[s]. No test image is read,
no quantized network takes part, and no default run uses these seeds. It prints a table (constants, mean,
and the networks' lowest and highest accuracy), then the lines of `constants.toml`, in a minute or two on
one core.

One constant moves, the one that says how strong the corruption is. The others are near those of CIFAR-10-C
at severity 3, except that frost covers the share that it takes away, motion blur may be longer, elastic
waves are wider, so that people can read them, and glass moves pixels by one at a time, as a longer reach
jumps from mild to severe. Disks and box filters change only at some sizes; 8 and 13 pixels are no
candidates of `pixelate`: 8 are the digits' own grid and cost less than 9 or 10, 13 more than 12.
`jpeg_compression` has no candidates: at quality 1, the lowest, the networks still keep 95%.
"""

import argparse
from bisect import bisect_left
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from flatqat.bench.cell.restore import restore
from flatqat.bench.cell.session import Session
from flatqat.bench.engine.train import train
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.console.progress import Progress
from flatqat.data import digits
from flatqat.data.corruptions.apply import distort
from flatqat.data.corruptions.constants import Constants
from flatqat.models.base import Normalized

SEEDS = range(1000, 1010)
KEPT = {1: 95, 2: 90, 3: 80, 4: 65, 5: 50}


def steps(start: float, stop: float, step: float) -> list[float]:
    """Numbers from `start` to `stop`, both included, without the noise of floating point."""
    return [round(start + i * step, 4) for i in range(round((stop - start) / step) + 1)]


SIDE = 32  # pixels; the file has the constants of `elastic_transform` in sides

# From mild to severe.
CANDIDATES: Mapping[str, list[Constants]] = {
    "gaussian_noise": [(c,) for c in steps(0.06, 0.4, 0.01)],
    "shot_noise": [(c,) for c in (30, 20, 15, 12, 10, 8, 7, 6, 5, 4, 3, 2, 1)],
    "impulse_noise": [(c,) for c in steps(0.02, 0.3, 0.01)],
    "defocus_blur": [(r, 0.5) for r in (1.5, 2, 2.3, 2.9, 3, 3.2, 3.7, 4, 4.2, 4.3, 4.5, 5)],
    "glass_blur": [(0.4, 1, rounds) for rounds in range(1, 16)],
    "motion_blur": [(15, sigma) for sigma in steps(1.5, 8, 0.1)],
    "zoom_blur": [(stop, 0.02) for stop in steps(1.1, 2.1, 0.02)],
    "snow": [(mean, 0.3, 1.75, 0.55, 10, 4, 0.9) for mean in steps(0, 0.4, 0.01)],
    "frost": [(round(1 - share, 2), share, 5) for share in steps(0.02, 0.3, 0.01)],
    "fog": [(amount, 2) for amount in steps(0.02, 0.5, 0.01)],
    "brightness": [(lift,) for lift in steps(0.02, 0.3, 0.01)],
    "contrast": [(factor,) for factor in steps(0.98, 0.6, -0.01)],
    "elastic_transform": [(SIDE * a, SIDE * 0.12, SIDE * 0.02) for a in steps(0.4, 3, 0.1)],
    "pixelate": [(c,) for c in (0.5, 0.38, 0.35, 0.32, 0.29, 0.22, 0.19, 0.16, 0.13)],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", default=",".join(CANDIDATES))
    names = parser.parse_args().only.split(",")
    with TemporaryDirectory() as folder:
        models = networks(SEEDS, Path(folder))
    print(f"clean {np.mean(accuracies(models)):.1f}", flush=True)
    lines = []
    for name in names:
        chosen = [choose(models, name, severity) for severity in KEPT]
        unit = SIDE if name == "elastic_transform" else 1
        lines.append(f"{name} = {[[round(c / unit, 4) for c in constants] for constants in chosen]}")
    print("", *lines, sep="\n")


def networks(seeds: range, folder: Path) -> list[Normalized]:
    """The full-precision networks of these seeds, trained with the default recipe."""
    plan = make_plan(Request(methods=("fp",), seeds=tuple(seeds), results=folder, spaces=()))
    session = Session.open(plan.request, Progress())
    for job in plan.jobs:
        train(job, session)
    return [restore(job.cell, job.suite, session.store) for job in plan.scored()]


@torch.inference_mode()
def accuracies(
    models: list[Normalized], name: str = "", severity: int = 0, constants: Constants = ()
) -> list[float]:
    """Each network's accuracy in percent on the images of `val`, corrupted if a name is given."""
    val = digits.load("val")
    images = val.fetch(torch.arange(len(val)))
    if name:
        images = distort(images, val.ids, name=name, severity=severity, constants=constants)
    hits = [model.predict(images.float() / 255).argmax(1) == val.labels for model in models]
    return [100 * hit.float().mean().item() for hit in hits]


def choose(models: list[Normalized], name: str, severity: int) -> Constants:
    """The candidate that keeps closest to KEPT[severity] percent, which is printed."""

    @cache
    def kept(constants: Constants) -> float:
        return float(np.mean(accuracies(models, name, severity, constants)))

    candidates = CANDIDATES[name]
    at = bisect_left(candidates, -KEPT[severity], key=lambda constants: -kept(constants))
    best = min(
        candidates[max(0, at - 1) : at + 1], key=lambda constants: abs(kept(constants) - KEPT[severity])
    )
    each = accuracies(models, name, severity, best)
    print(
        f"{name:18}{severity} {best!s:40}{kept(best):5.1f} ({min(each):.1f} to {max(each):.1f})", flush=True
    )
    return best


if __name__ == "__main__":
    main()
