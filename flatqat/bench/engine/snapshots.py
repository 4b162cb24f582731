"""Small pictures of what models predict of a few images of a shift, taken while they are scored."""

from collections.abc import Mapping

import torch
from torch import Tensor

from flatqat.bench.records.pictures import COUNT, Labels, SeenImage, as_jpeg, kept_pixels
from flatqat.data.tensors.image_data import sampled
from flatqat.memory import out_of_memory
from flatqat.metrics.segmentation import predicted
from flatqat.spec import IGNORED
from flatqat.suite import Shift


class Snapshots:
    """The pictures of one pass over some images: `begin` is called for each batch, `add` for each model.

    Attributes:
        seen: The images and their truth, by their place in the shift.
        trouble: Why there are none, where none could be made.
    """

    def __init__(self, shown: Mapping[int, int]) -> None:
        """Take pictures of some images: `shown` maps places in this pass to those in the whole shift."""
        self._shown = dict(shown)
        self._passed = 0
        self._rows: dict[int, int] = {}
        self._predicted: dict[str, dict[int, Labels]] = {}
        self.seen: dict[int, SeenImage] = {}
        self.trouble = ""

    def begin(self, images: Tensor, masks: Tensor) -> None:
        """Take the next batch: images (B, 3, H, W) in [0, 1] and label maps (B, H, W).

        Where no picture can be made of one of them there are none at all: no score depends on them.
        """
        try:
            self._take(images, masks)
        except Exception as error:  # of images of a plugin, or of what makes a JPEG of them
            if out_of_memory(error):
                raise
            self.trouble = f"{type(error).__name__}: {error}"
            for known in (self._shown, self._rows, self._predicted, self.seen):
                known.clear()

    def _take(self, images: Tensor, masks: Tensor) -> None:
        here = range(self._passed, self._passed + len(images))
        self._rows = {at - here.start: place for at, place in self._shown.items() if at in here}
        self._passed = here.stop
        for row, place in self._rows.items():
            pixels = images[row].mul(255).round().byte().permute(1, 2, 0).cpu().numpy()
            truth = _reduced(masks[row][None])[0].byte().cpu().numpy()
            self.seen[place] = SeenImage(image=as_jpeg(pixels), truth=truth)

    def add(self, cell_id: str, logits: Tensor) -> None:
        """Take what a model predicts of the batch, logits (B, classes, H, W)."""
        for row, place in self._rows.items():
            labels = predicted(_reduced(logits[row]), IGNORED).byte().cpu().numpy()
            self._predicted.setdefault(cell_id, {})[place] = labels

    def of(self, cell_id: str) -> dict[int, Labels]:
        """Return what a model predicts, by the places of the images in the shift."""
        return self._predicted.get(cell_id, {})


def snapshots_of(shift: Shift, limit: int | None, count: int, *, per_pixel: bool) -> Snapshots:
    """Return the snapshots of a shift of `count` images, `limit` of which are scored; none if it has no maps.

    A shift whose classes are groups of the suite's has none, since its labels are no classes.
    """
    if not per_pixel or shift.groups or shift.name == "val":
        return Snapshots({})
    places = {place: at for at, place in enumerate(sampled(count, limit).tolist())}
    chosen = sampled(count, min(COUNT, limit or COUNT)).tolist()
    return Snapshots({places[place]: place for place in chosen})


def _reduced(planes: Tensor) -> Tensor:
    """Return the pixels of (C, H, W) that a small picture has."""
    rows, columns = (torch.from_numpy(kept).to(planes.device) for kept in kept_pixels(*planes.shape[1:]))
    return planes[:, rows][:, :, columns]
