"""Decoded images in a temporary file, so that shifts made of the same images decode them once."""

import math
import os
import tempfile
import weakref
from collections.abc import Callable
from contextlib import suppress
from threading import Lock

import torch
from torch import Tensor

LOCKS = 256


class Kept:
    """Calls `fetch` once for each image, and keeps what it returns: uint8 images of one size.

    They lie in a temporary file, in the folder that TMPDIR names. The system holds as much of it in memory as
    nothing else needs, so that no share of the memory has to be set aside, and none is missing elsewhere.
    Images that find no room on the disk are decoded whenever they are needed.

    Threads may ask for the same images at the same time: one decodes, the others wait.
    """

    def __init__(self, fetch: Callable[[Tensor], Tensor]) -> None:
        self._fetch = fetch
        self._shapes: dict[int, tuple[int, ...]] = {}  # of what is in the file
        self._locks = [Lock() for _ in range(LOCKS)]
        self._file = -1
        with suppress(OSError), tempfile.TemporaryFile(buffering=0) as file:
            self._file = os.dup(file.fileno())
            weakref.finalize(self, os.close, self._file)

    def __call__(self, index: Tensor) -> Tensor:
        """Return the images at an index (B,), uint8 (B, channels, H, W)."""
        return torch.stack([self._image(position) for position in index.tolist()])

    def _image(self, position: int) -> Tensor:
        with self._locks[position % LOCKS]:
            if position in self._shapes:
                return self._read(position)
            image = self._fetch(torch.tensor([position]))[0]
            self._keep(position, image)
            return image

    def _read(self, position: int) -> Tensor:
        shape = self._shapes[position]
        size = math.prod(shape)
        content = bytearray(os.pread(self._file, size, position * size))
        return torch.frombuffer(content, dtype=torch.uint8).view(shape)

    def _keep(self, position: int, image: Tensor) -> None:
        content = image.contiguous().numpy().tobytes()
        with suppress(OSError):  # there is no file, or no room
            if os.pwrite(self._file, content, position * len(content)) == len(content):
                self._shapes[position] = tuple(image.shape)
