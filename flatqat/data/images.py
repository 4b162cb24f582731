"""Labelled images in a fixed order, decoded batch by batch, with transforms that know each image's id."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from flatqat.errors import DataError

Fetch = Callable[[Tensor], Tensor]
Transform = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageData:
    """N images with labels.

    `labels` and `ids` are int64 of shape (N,); an id names the image itself, whatever subset or order it
    stands in. `fetch(index)` decodes the images at `index` to uint8 of shape (B, 3, H, W). Each transform
    maps (uint8 images, their ids) to uint8 images, on whichever device the batch is.
    """

    labels: Tensor
    ids: Tensor
    fetch: Fetch
    transforms: tuple[Transform, ...] = ()

    @classmethod
    def in_memory(cls, images: Tensor, labels: Tensor, *, classes: int, source: str) -> "ImageData":
        """Wrap uint8 images (N, 3, H, W) and checked labels (N,); `source` names them in errors."""
        check_labels(labels, classes=classes, source=source)
        if len(images) != len(labels):
            raise DataError(f"{source}: expected a label an image, got {len(labels)} for {len(images)}")
        return cls(labels=labels, ids=torch.arange(len(labels)), fetch=images.__getitem__)

    def __len__(self) -> int:
        return len(self.labels)

    def map(self, transform: Transform) -> "ImageData":
        """The same images seen through one more transform."""
        return replace(self, transforms=(*self.transforms, transform))

    def subset(self, index: Tensor) -> "ImageData":
        """The images at `index`, which keep their ids."""
        fetch = self.fetch
        return replace(
            self, labels=self.labels[index], ids=self.ids[index], fetch=lambda at: fetch(index[at])
        )

    def sample(self, limit: int | None) -> "ImageData":
        """A fixed pseudo-random choice of `limit` images, in order: the same one for any set of this size."""
        if limit is None or limit >= len(self):
            return self
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(0))
        return self.subset(order[:limit].sort().values)

    def fingerprint(self) -> str:
        """Eight hex digits of all labels and of sixteen images spread over the set: which copy this is."""
        spread = torch.linspace(0, len(self) - 1, min(16, len(self))).long()
        parts = (self.labels, self.fetch(spread))
        return hashlib.sha256(b"".join(part.contiguous().numpy().tobytes() for part in parts)).hexdigest()[:8]

    def batch(self, index: Tensor, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """Images at `index` in [0, 1] as float32 (B, 3, H, W), and their labels (B,), on `device`."""
        images, ids = self.fetch(index).to(device), self.ids[index].to(device)
        for transform in self.transforms:
            images = transform(images, ids)
        return images.float() / 255, self.labels[index].to(device)

    def batches(self, size: int, device: torch.device | str = "cpu") -> Iterator[tuple[Tensor, Tensor]]:
        """Every image once, in order."""
        for index in torch.arange(len(self)).split(size):
            yield self.batch(index, device)


def check_labels(labels: Tensor, *, classes: int, source: str) -> None:
    """Refuse labels outside 0 .. classes - 1."""
    if len(labels) == 0:
        raise DataError(f"{source}: expected images, got none")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise DataError(
            f"{source}: expected labels from 0 to {classes - 1}, got {low} to {high}; "
            "check that labels start at 0 and belong to this set"
        )
