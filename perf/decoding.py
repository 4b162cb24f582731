"""Decoding of JPEG images, on one thread, beside Pillow alone: images a CPU second and their ratios.

    python perf/decoding.py [--rounds 9]

`stored` reads files of 224 pixels as the corrupted sets are, `pixels` and `view` those of 500 x 375: decoded,
and resized and cropped for a network. Pillow does the same, up to the batch. Both take turns in every round.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from corruptions import pictures
from PIL import Image
from torch import Tensor

from flatqat.bench.cell.environment import installed, keep_freed_memory
from flatqat.data.images.encoded import decode_file, rgb_pixels
from flatqat.data.images.views import eval_crop
from flatqat.data.tensors.image_files import image_files
from flatqat.spec import EvalTransform

COUNT = 32
SIZES = {"stored": (224, 224, 85), "pixels": (500, 375, 92), "view": (500, 375, 92)}
"""Width, height and JPEG quality."""


def written(folder: Path, width: int, height: int, quality: int) -> list[Path]:
    paths = [folder / f"{width} {i}.jpg" for i in range(COUNT)]
    for path, pixels in zip(paths, pictures(COUNT, max(width, height)), strict=True):
        image = Image.fromarray(pixels[:, :height, :width].permute(1, 2, 0).contiguous().numpy())
        image.save(path, quality=quality)
    return paths


def ours(kind: str, paths: list[Path]) -> Tensor | None:
    if kind == "pixels":
        for path in paths:
            decode_file(path, rgb_pixels)
        return None
    index = torch.arange(len(paths))
    side = 224 if kind == "stored" else None
    return image_files(paths, index * 0, index, classes=1, source="perf", side=side).fetch(index)


def theirs(kind: str, paths: list[Path]) -> Tensor | None:
    view = eval_crop(EvalTransform())
    batch = []
    for path in paths:
        with Image.open(path) as image:
            rgb = image.convert("RGB")
            batch.append(view(rgb, 0) if kind == "view" else np.asarray(rgb))
    return None if kind == "pixels" else torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2).contiguous()


def seconds_of(kind: str, rounds: int) -> np.ndarray:
    """Return CPU seconds an image, (rounds, 2): flatqat, then Pillow."""
    torch.set_num_threads(1)
    keep_freed_memory()
    calls: tuple[Callable[[str, list[Path]], Tensor | None], ...] = (ours, theirs)
    with tempfile.TemporaryDirectory() as folder:
        paths = written(Path(folder), *SIZES[kind])
        first, second = (call(kind, paths) for call in calls)
        assert first is None or torch.equal(first, second), "other pixels than Pillow's"
        seconds = np.zeros((rounds, 2))
        for taken in seconds:
            for which, call in enumerate(calls):
                start = time.process_time()
                call(kind, paths)
                taken[which] = (time.process_time() - start) / COUNT
    return seconds


def ratios(rounds: int = 9) -> dict[str, list[float]]:
    """Return how many times as many images as Pillow alone are read, for each kind and in each round."""
    return {kind: (s[:, 1] / s[:, 0]).tolist() for kind in SIZES for s in [seconds_of(kind, rounds)]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    print(
        f"Pillow {installed('pillow')}, simplejpeg {installed('simplejpeg')}; images a CPU second and ratios"
    )
    print(f"{'':<10}{'flatqat':>10}{'Pillow':>10}{'ratio':>9}{'quartiles':>17}")
    for kind in SIZES:
        seconds = seconds_of(kind, rounds)
        low, median, high = np.quantile(seconds[:, 1] / seconds[:, 0], (0.25, 0.5, 0.75))
        a, b = 1 / np.median(seconds, 0)
        print(f"{kind:<10}{a:>10.0f}{b:>10.0f}{median:>9.2f}{low:>9.2f}{high:>8.2f}")


if __name__ == "__main__":
    main()
