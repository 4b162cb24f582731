"""Were the images on disk resized before? Then a model that asks for the same size resizes nothing."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from flatqat.data.images.checks import run_check
from flatqat.data.images.integrity import image_size, spread_indices
from flatqat.finding import Finding

OPENED = 64
SHARE = 0.9  # of original photos of ImageNet less than half have one short side


def check_resized(paths: Sequence[Path | str]) -> Finding:
    """Open some images; return a partial finding if nearly all have the same short side."""
    return run_check(lambda: _look(paths))


def _look(paths: Sequence[Path | str]) -> Finding:
    indices = spread_indices(len(paths), OPENED)
    sides = Counter(min(image_size(paths[index])) for index in indices)
    ((side, count),) = sides.most_common(1)
    of = f"{count} of {len(indices)} images opened"
    if count < SHARE * len(indices):
        return Finding(ok=True, what=f"sizes vary: a short side of {side} in {of}")
    return Finding(
        ok=False,
        partial=True,
        what=f"resized before: a short side of {side} in {of}, so that models which resize to {side} see no "
        "noise of resize",
        fix="use the original files",
    )
