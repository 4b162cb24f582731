"""Images that lie on disk as files of many sizes, decoded when they are asked for."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from flatqat.data.images.encoded import Pixels, decoded, in_rgb
from flatqat.data.images.image_data import ImageData, Transform, check_labels
from flatqat.data.images.views import eval_crop
from flatqat.spec import EvalTransform


def image_files(
    paths: Sequence[Path | str],
    labels: Tensor,
    ids: Tensor,
    *,
    classes: int,
    source: str,
    view: Transform | None = None,
    groups: Tensor | None = None,
) -> ImageData:
    """One file an image, with checked labels (N,) and ids (N,), both int64.

    Without a `view` the set waits for the one of each model (`ImageData.seen`). `source` names it in errors.
    A damaged file raises DataError when it is decoded.
    """
    check_labels(labels, classes=classes, source=source)

    def through(chosen: Transform) -> ImageData:
        return image_files(paths, labels, ids, classes=classes, source=source, view=chosen, groups=groups)

    seen = view or eval_crop(EvalTransform())

    def fetch(index: Tensor) -> Tensor:
        rows = zip(index.tolist(), ids[index].tolist(), strict=True)
        pixels = [read(Path(paths[at]), seen, image_id) for at, image_id in rows]
        return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous()

    return ImageData(
        labels=labels, ids=ids, fetch=fetch, through_transform=None if view else through, groups=groups
    )


def read(path: Path, view: Transform, image_id: int = 0) -> Pixels:
    """Decode one file as RGB and look at it through `view`. Raises DataError, naming the file."""
    return decoded(path, lambda image: view(in_rgb(image), image_id))
