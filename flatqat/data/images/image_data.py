"""Labelled images in a fixed order, decoded batch by batch, with transforms that know each image's id."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import torch
from PIL.Image import Image
from torch import Tensor

from flatqat.data.images.encoded import Pixels
from flatqat.data.images.label_maps import check_values, values_of
from flatqat.errors import DataError

Fetch = Callable[[Tensor], Tensor]
BatchTransform = Callable[[Tensor, Tensor], Tensor]
Transform = Callable[[Image, int], Pixels]
"""An RGB image as it was decoded, and its id, to uint8 pixels (H, W, 3) of a size that the view decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageData:
    """N images with labels, or with label maps.

    `labels` and `ids` are int64 of shape (N,); an id names the image itself, whatever subset or order it
    stands in. `fetch(index)` decodes the images at `index` to uint8 of shape (B, 3, H, W). Each transform
    maps (uint8 images, their ids) to uint8 images, on whichever device the batch is.

    Where each image has a label map, `labels` is None and `fetch` gives that as a fourth channel: a class a
    pixel, IGNORED where there is none. A view of such a set maps RGBA images, with the labels in place of
    alpha, to four channels. Transforms see the colours alone.

    `through(view)` is there where images have no common size: it gives the same set seen through another
    view. `groups`, int64 (N,), numbers the parts that training batches draw from alike (source domains).
    """

    labels: Tensor | None
    ids: Tensor
    fetch: Fetch
    batch_transforms: tuple[BatchTransform, ...] = ()
    through_transform: "Callable[[Transform], ImageData] | None" = None
    groups: Tensor | None = None

    @classmethod
    def in_memory(cls, images: Tensor, labels: Tensor, *, classes: int, source: str) -> "ImageData":
        """Wrap uint8 images (N, 3, H, W) and checked labels (N,); `source` names them in errors."""
        check_labels(labels, classes=classes, source=source)
        if len(images) != len(labels):
            raise DataError(f"{source}: expected a label an image, got {len(labels)} for {len(images)}")
        return cls(labels=labels, ids=torch.arange(len(labels)), fetch=images.__getitem__)

    @classmethod
    def with_label_maps(cls, pixels: Tensor, *, classes: int, source: str) -> "ImageData":
        """Wrap uint8 images with their label maps as fourth channel (N, 4, H, W); labels are checked."""
        if len(pixels) == 0:
            raise DataError(f"{source}: expected images, got none")
        check_values(values_of(pixels[:, 3].numpy()), classes=classes, name=source)
        return cls(labels=None, ids=torch.arange(len(pixels)), fetch=pixels.__getitem__)

    def __len__(self) -> int:
        return len(self.ids)

    def map(self, transform: BatchTransform) -> "ImageData":
        """The same images seen through one more transform."""
        through = self.through_transform
        return replace(
            self,
            batch_transforms=(*self.batch_transforms, transform),
            through_transform=through and (lambda view: through(view).map(transform)),
        )

    def subset(self, index: Tensor) -> "ImageData":
        """The images at `index`, which keep their ids."""
        fetch, through = self.fetch, self.through_transform
        return replace(
            self,
            labels=None if self.labels is None else self.labels[index],
            ids=self.ids[index],
            fetch=lambda at: fetch(index[at]),
            through_transform=through and (lambda view: through(view).subset(index)),
            groups=None if self.groups is None else self.groups[index],
        )

    def transformed(self, view: "Transform | None") -> "ImageData":
        """The set seen through a view; itself without one, or where images have a size of their own."""
        return self.through_transform(view) if self.through_transform and view else self

    def kept(self, most_bytes: int) -> "ImageData":
        """The same images, of one size, which are decoded once and kept while there is room for more."""
        images: dict[int, Tensor] = {}

        def fetch(index: Tensor) -> Tensor:
            wanted = index.tolist()
            if lacking := [at for at in wanted if at not in images]:
                fresh = dict(zip(lacking, self.fetch(torch.tensor(lacking)), strict=True))
                each = next(iter(fresh.values())).numel()
                if (len(images) + len(fresh)) * each > most_bytes:
                    return torch.stack([fresh[at] if at in fresh else images[at] for at in wanted])
                images.update(fresh)
            return torch.stack([images[at] for at in wanted])

        return replace(self, fetch=fetch, through_transform=None)

    def sample(self, limit: int | None) -> "ImageData":
        """A fixed pseudo-random choice of `limit` images, in order: the same one for any set of this size."""
        if limit is None or limit >= len(self):
            return self
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(0))
        return self.subset(order[:limit].sort().values)

    def fingerprint(self) -> str:
        """Eight hex digits of all labels and of sixteen images spread over the set: which copy this is."""
        spread = torch.linspace(0, len(self) - 1, min(16, len(self))).long()
        parts = (*(() if self.labels is None else (self.labels,)), self.fetch(spread))
        return hashlib.sha256(b"".join(part.contiguous().numpy().tobytes() for part in parts)).hexdigest()[:8]

    def batch(self, index: Tensor, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """Images at `index` in [0, 1] as float32 (B, 3, H, W), and their labels (B,) or maps (B, H, W)."""
        return self._finish(self.fetch(index), index, device)

    def batches(
        self, size: int, device: torch.device | str = "cpu", workers: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Every image once, in order; see `read_ahead` for `workers`."""
        return read_ahead(((self, index) for index in torch.arange(len(self)).split(size)), device, workers)

    def _finish(self, images: Tensor, index: Tensor, device: torch.device | str) -> tuple[Tensor, Tensor]:
        pixels, ids = images.to(device), self.ids[index].to(device)
        images = pixels[:, :3].contiguous()
        for transform in self.batch_transforms:
            images = transform(images, ids)
        labels = pixels[:, 3].long() if self.labels is None else self.labels[index].to(device)
        return images.float() / 255, labels


def read_ahead(
    wanted: Iterable[tuple[ImageData, Tensor]], device: torch.device | str, workers: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """The batch of each (data, index), in order, the next one decoded by `workers` threads meanwhile.

    Pillow decodes outside of Python's lock. With no workers each batch is decoded when it is asked for.
    The number of workers changes no pixel.
    """
    if not workers:
        for data, index in wanted:
            yield data.batch(index, device)
        return
    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[tuple[ImageData, Tensor, list[Future[Tensor]]]] = deque()
        for data, index in wanted:
            parts = [part for part in index.tensor_split(workers) if len(part)]
            ahead.append((data, index, [pool.submit(data.fetch, part) for part in parts]))
            if len(ahead) > 1:
                yield _arrived(*ahead.popleft(), device)
        while ahead:
            yield _arrived(*ahead.popleft(), device)


def _arrived(
    data: ImageData, index: Tensor, parts: list[Future[Tensor]], device: torch.device | str
) -> tuple[Tensor, Tensor]:
    return data._finish(torch.cat([part.result() for part in parts]), index, device)


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
