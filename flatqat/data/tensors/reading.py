"""Batches that threads make ahead of their use."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

if TYPE_CHECKING:
    from flatqat.data.tensors.image_data import ImageData

Batch = tuple[Tensor, Tensor]
Requests = Iterable[tuple["ImageData", Tensor]]
T = TypeVar("T")


class Reader:
    """Makes batches on a device, while `workers` threads are at work on the next one.

    Threads decode and run the transforms for the CPU, and where that is the device all batch transforms:
    Pillow and torch release Python's lock. With 0 workers each batch is made when it is requested. What
    becomes of an image depends on its pixels and its id alone, so the number of workers changes no pixel.

    Leaving its context ends the threads.
    """

    def __init__(self, device: torch.device | str, workers: int) -> None:
        self.device, self.workers = torch.device(device), workers
        self._pool = ThreadPoolExecutor(max(1, workers))  # no thread starts before there is work

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def batches(self, requests: Requests) -> Iterator[Batch]:
        """Return a batch for each (data, index), in order; threads begin the first one at once.

        A request is drawn before the batch of the one before is returned, also without threads: the caller
        may draw both requests and what it does to a batch from one generator.
        """
        if not self.workers:
            return (data.batch(index, self.device) for data, index in one_ahead(requests))
        return (finish() for finish in one_ahead(self._begin(data, index) for data, index in requests))

    def _begin(self, data: "ImageData", index: Tensor) -> Callable[[], Batch]:
        """Let threads make the parts of a batch; returns what waits for them and joins them."""
        on_cpu, inference = self.device.type == "cpu", torch.is_inference_mode_enabled()

        def make(part: Tensor) -> tuple[Tensor, ...]:
            with torch.inference_mode(inference):  # a mode of each thread
                pixels = data.prepared(part)
                return data.processed(pixels, part, self.device) if on_cpu else (pixels,)

        parts = [part for part in index.tensor_split(self.workers) if len(part)]
        made = [self._pool.submit(make, part) for part in parts]

        def join() -> Batch:
            columns = [torch.cat(column) for column in zip(*(part.result() for part in made), strict=True)]
            return scaled(*(columns if on_cpu else data.processed(columns[0], index, self.device)))

        return join


def read_ahead(requests: Requests, device: torch.device | str, workers: int) -> Iterator[Batch]:
    """Yield a batch for each (data, index), in order; `Reader` explains `workers`."""
    with Reader(device, workers) as reader:
        yield from reader.batches(requests)


def scaled(images: Tensor, labels: Tensor) -> Batch:
    """Return uint8 images as float32 in [0, 1], and their labels."""
    return images.float().div_(255), labels


def one_ahead(items: Iterable[T]) -> Iterator[T]:
    """Return an iterator that draws each item before it yields the one before; the first is drawn at once."""
    rest = iter(items)
    return _behind(deque(islice(rest, 1)), rest)


def _behind(drawn: deque[T], rest: Iterator[T]) -> Iterator[T]:
    for item in rest:
        drawn.append(item)
        yield drawn.popleft()
    yield from drawn


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy to a device; to a GPU from pinned memory, the only one that a copy does not wait for."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
