"""Images that are decoded once: the same bytes, whoever asks, and also where nothing can be kept."""

import errno
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import torch

from flatqat.data.tensors import kept
from flatqat.data.tensors.image_data import ImageData

N = 6
IMAGES = torch.randint(256, (N, 3, 5, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.fixture
def asked() -> list[int]:
    return []


@pytest.fixture
def data(asked: list[int]) -> ImageData:
    """Notes the position of every image that is decoded."""

    def fetch(index: torch.Tensor) -> torch.Tensor:
        asked.extend(index.tolist())
        return IMAGES[index]

    return ImageData(labels=torch.zeros(N).long(), ids=torch.arange(N) + 100, fetch=fetch)


def test_each_image_is_decoded_once(data: ImageData, asked: list[int]) -> None:
    """Through subsets and batch transforms, too."""
    once = data.decoded_once()
    for index in ([5, 0], [0, 1, 5], [0, 0], [3]):
        assert torch.equal(once.fetch(torch.tensor(index)), IMAGES[index])
    inverted = once.subset(torch.tensor([4, 3])).map(lambda x, ids: 255 - x)
    assert torch.equal(inverted.batch(torch.arange(2))[0], (255 - IMAGES[[4, 3]]).float() / 255)
    assert sorted(asked) == [0, 1, 3, 4, 5]
    assert once.ids.tolist() == data.ids.tolist()


def test_threads_that_want_the_same_images_wait_for_one_another(data: ImageData, asked: list[int]) -> None:
    once, together = data.decoded_once(), Barrier(4)

    def fetch() -> torch.Tensor:
        together.wait(timeout=60)
        return once.fetch(torch.arange(N))

    with ThreadPoolExecutor(4) as pool:
        made = [pool.submit(fetch) for _ in range(4)]
    assert all(torch.equal(one.result(), IMAGES) for one in made)
    assert sorted(asked) == list(range(N))


def test_on_a_full_disk_images_are_decoded_again(
    data: ImageData, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first write finds room, the second for a part, the others none."""
    rooms, write = [60, 30], os.pwrite

    def full(file: int, content: memoryview, offset: int) -> int:
        if not rooms:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, bytes(content)[: rooms.pop(0)], offset)

    monkeypatch.setattr(kept.os, "pwrite", full)
    once = data.decoded_once()
    for _ in range(2):
        assert torch.equal(once.fetch(torch.arange(3)), IMAGES[:3])
    assert asked == [0, 1, 2, 1, 2]


def test_without_a_temporary_folder_images_are_decoded_again(
    data: ImageData, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(**options: object) -> None:
        raise PermissionError

    monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    once = data.decoded_once()
    for _ in range(2):
        assert torch.equal(once.fetch(torch.tensor([1])), IMAGES[[1]])
    assert asked == [1, 1]


def test_the_file_is_in_the_temporary_folder_and_has_no_name(
    data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    once = data.decoded_once()
    once.fetch(torch.arange(N))
    assert list(tmp_path.iterdir()) == []
