"""Labeled images in a fixed order, decoded batch by batch, with transforms that know each image's id."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from flatqat.data.images.encoded import Pixels
from flatqat.data.images.label_maps import check_values, values_of
from flatqat.data.tensors.kept import Kept
from flatqat.data.tensors.reading import read_ahead, scaled, to_device
from flatqat.errors import DataError

Fetch = Callable[[Tensor], Tensor]
BatchTransform = Callable[[Tensor, Tensor], Tensor]
Transform = Callable[[Image, int], Pixels]
"""An RGB image as it was decoded, and its id, to uint8 pixels (H, W, 3) of a size that the view decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageData:
    """N images with a label each, or with a label map each.

    With label maps, `labels` is None and `fetch` returns them as a fourth channel: a class for every pixel,
    IGNORED where there is none. A `Transform` of such a dataset takes RGBA images with the labels as alpha
    and returns four channels; batch transforms only get the colors.

    Attributes:
        labels: int64 (N,), or None with label maps.
        ids: int64 (N,). An id stands for the image itself, whatever subset or order it appears in.
        fetch: Decodes the images at an index (B,) to uint8 (B, 3, H, W).
        cpu_transforms: Each maps uint8 images and their ids to uint8 images, before they go to a device.
        batch_transforms: Each maps uint8 images and their ids to uint8 images, on the device of the batch.
        through_transform: Returns the same dataset with another `Transform` of each image; None if all images
            have a common size already.
        groups: int64 (N,). Training batches draw equally many images from each group (source domain).
        source: What errors call the images.
    """

    labels: Tensor | None
    ids: Tensor
    fetch: Fetch
    cpu_transforms: tuple[BatchTransform, ...] = ()
    batch_transforms: tuple[BatchTransform, ...] = ()
    through_transform: "Callable[[Transform], ImageData] | None" = None
    groups: Tensor | None = None
    source: str = "images"

    @classmethod
    def in_memory(cls, images: Tensor, labels: Tensor, *, classes: int, source: str) -> "ImageData":
        """Wrap uint8 images (N, 3, H, W) and their labels (N,), from 0 to classes - 1.

        Raises DataError if images are of another type or shape, or if labels are out of range or too few;
        `source` names the images in its message.
        """
        check_labels(labels, classes=classes, source=source)
        if len(images) != len(labels):
            raise DataError(f"{source}: expected a label for each image, got {len(labels)} for {len(images)}")
        check_images(images, len(labels), 3, source)
        return cls(labels=labels, ids=torch.arange(len(labels)), fetch=images.__getitem__, source=source)

    @classmethod
    def with_label_maps(cls, pixels: Tensor, *, classes: int, source: str) -> "ImageData":
        """Wrap uint8 images with their label maps as fourth channel (N, 4, H, W).

        Raises DataError if they are of another type or shape, or if a label is neither a class nor IGNORED;
        `source` names the images in its message.
        """
        if len(pixels) == 0:
            raise DataError(f"{source}: expected images, got none")
        check_images(pixels, len(pixels), 4, source)
        check_values(values_of(pixels[:, 3].numpy()), classes=classes, name=source)
        return cls(labels=None, ids=torch.arange(len(pixels)), fetch=pixels.__getitem__, source=source)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def per_pixel(self) -> bool:
        """Whether every image has a label map, as in segmentation, in place of one label."""
        return self.labels is None

    def map(self, transform: BatchTransform, *, on_cpu: bool = False) -> "ImageData":
        """Return the same images with one more batch transform.

        One that always computes on a CPU should be `on_cpu`: the threads that decode run it, and nothing is
        copied back from a device. It must come before those that run on a device.
        """
        through, first = self.through_transform, on_cpu and not self.batch_transforms
        return replace(
            self,
            cpu_transforms=(*self.cpu_transforms, *[transform] * first),
            batch_transforms=(*self.batch_transforms, *[transform] * (not first)),
            through_transform=through and (lambda view: through(view).map(transform, on_cpu=on_cpu)),
        )

    def subset(self, index: Tensor) -> "ImageData":
        """Return the images at `index`, which keep their ids."""
        fetch, through = self.fetch, self.through_transform
        return replace(
            self,
            labels=None if self.labels is None else self.labels[index],
            ids=self.ids[index],
            fetch=lambda position: fetch(index[position]),
            through_transform=through and (lambda view: through(view).subset(index)),
            groups=None if self.groups is None else self.groups[index],
        )

    def transformed(self, view: "Transform | None") -> "ImageData":
        """Apply a transform to every image; without one, or if all have a common size, return `self`."""
        return self.through_transform(view) if self.through_transform and view else self

    def decoded_once(self) -> "ImageData":
        """Return the same images, of one size, which are kept once they are decoded (`Kept`)."""
        return replace(self, fetch=Kept(self.fetch), through_transform=None)

    def sample(self, limit: int | None) -> "ImageData":
        """Return `limit` images, in order, chosen pseudo-randomly; the choice only depends on `len(self)`."""
        return self if limit is None or limit >= len(self) else self.subset(sampled(len(self), limit))

    def fingerprint(self) -> str:
        """Return eight hex digits that identify this copy: a hash of all labels and of sixteen images."""
        spread = torch.linspace(0, len(self) - 1, min(16, len(self))).long()
        parts = (*(() if self.labels is None else (self.labels,)), self.fetch(spread))
        return hashlib.sha256(b"".join(part.contiguous().numpy().tobytes() for part in parts)).hexdigest()[:8]

    def batch(self, index: Tensor, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """Return images, float32 (B, 3, H, W) in [0, 1], and their labels (B,) or label maps (B, H, W)."""
        return scaled(*self.processed(self.prepared(index), index, torch.device(device)))

    def batches(
        self, size: int, device: torch.device | str = "cpu", workers: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every image once, in order, in batches of `size`; `Reader` explains `workers`."""
        return read_ahead(self.parts(size), device, workers)

    def parts(self, size: int) -> "Iterator[tuple[ImageData, Tensor]]":
        """Yield this data with the index of each of the batches of `batches`."""
        return ((self, index) for index in torch.arange(len(self)).split(size))

    def prepared(self, index: Tensor) -> Tensor:
        """Return what `fetch(index)` does, with the transforms for the CPU.

        Raises DataError if one of them returns images of another type or shape.
        """
        pixels = self.fetch(index)
        check_images(pixels, len(index), 4 if self.per_pixel else 3, self.source)
        if not self.cpu_transforms:
            return pixels
        images = pixels[:, :3].contiguous()
        for transform in self.cpu_transforms:
            images = transform(images, self.ids[index])
            check_images(images, len(index), 3, self.source, " from a transform")
        return torch.cat([images, pixels[:, 3:]], 1) if self.per_pixel else images

    def processed(self, pixels: Tensor, index: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
        """Take what `prepared(index)` returned to a device and through the batch transforms.

        Returns uint8 images (B, 3, H, W) and their labels (B,) or label maps (B, H, W), int64.
        Raises DataError if a transform returns other images.
        """
        pixels, ids = to_device(pixels, device), to_device(self.ids[index], device)
        images = pixels[:, :3].contiguous()
        for transform in self.batch_transforms:
            images = transform(images, ids)
            check_images(images, len(index), 3, self.source, " from a transform")
        labels = pixels[:, 3].long() if self.labels is None else to_device(self.labels[index], device)
        return images, labels


def sampled(count: int, limit: int | None) -> Tensor:
    """Return which of `count` images `ImageData.sample` chooses, int64; a larger limit adds to them."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    return order[:limit].sort().values


def channels_first(images: Iterable[Pixels]) -> Tensor:
    """Return images of one size and type (H, W, C) as one batch (B, C, H, W)."""
    pixels = list(images)
    height, width, channels = pixels[0].shape
    batch = np.empty((len(pixels), channels, height, width), pixels[0].dtype)
    for planes, image in zip(batch, pixels, strict=True):
        planes[:] = image.transpose(2, 0, 1)
    return torch.from_numpy(batch)


def check_images(images: Tensor, count: int, channels: int, source: str, where: str = "") -> None:
    """Raise DataError unless images are uint8 (count, channels, H, W); reads no pixel."""
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[:2] != (count, channels):
        expected = f"expected uint8 images ({count}, {channels}, height, width){where}"
        got = f"{str(images.dtype).removeprefix('torch.')} {tuple(images.shape)}"
        fix = "convert them: values from 0 to 255, channels first"
        raise DataError(f"{source}: {expected}, got {got}; {fix}")


def check_labels(labels: Tensor, *, classes: int, source: str) -> None:
    """Raise DataError if there are no labels, or some are outside 0 .. classes - 1."""
    if len(labels) == 0:
        raise DataError(f"{source}: expected images, got none")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        fix = "check that labels start at 0 and belong to this set"
        raise DataError(f"{source}: expected labels from 0 to {classes - 1}, got {low} to {high}; {fix}")
