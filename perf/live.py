"""Images that are corrupted live.

All shifts of imagenet-c-live are made of the same validation images, and a run reads them for every shift in
turn. Counted on five images.
"""

import tempfile
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image

from flatqat import registry
from flatqat.data.imagenet import classes
from flatqat.data.tensors import image_files
from perf.rounds import Row

LABELS, SIZE = (65, 970, 230, 809, 516), (150, 120)  # of the first validation images


def rows(rounds: int) -> list[Row]:
    suite = registry.load(registry.SUITES, "imagenet-c-live")
    decoded: list[Path] = []

    def counted(path: Path, *rest: object) -> object:
        decoded.append(path)
        return decode(path, *rest)

    decode = image_files.read
    with tempfile.TemporaryDirectory() as folder, patch.object(image_files, "read", counted):
        _write(Path(folder))
        for shift in suite.scored:
            data = shift.build(Path(folder))
            data.fetch(torch.arange(len(data)))
    title = f"decodings of an image for all {len(suite.scored)} shifts"
    return [Row(name=title, value=len(decoded) / len(LABELS), goal="≤ 1")]


def _write(root: Path) -> None:
    """Write validation images in the layout of ImageNet, each of one color."""
    for number, label in enumerate(LABELS, 1):
        path = root / "imagenet" / "val" / classes.wnids()[label] / f"ILSVRC2012_val_{number:08}.JPEG"
        path.parent.mkdir(parents=True)
        Image.fromarray(np.full((*SIZE[::-1], 3), 20 * number, np.uint8)).save(path)
