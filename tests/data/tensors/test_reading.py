"""Batches made ahead by threads: the same bytes, where they are made, and when."""

import re
import threading
from dataclasses import replace
from functools import partial

import pytest
import torch

from flatqat.data.corruptions.apply import corrupt
from flatqat.data.tensors.image_data import ImageData
from flatqat.data.tensors.reading import Reader, one_ahead, read_ahead, to_device
from flatqat.errors import DataError
from flatqat.testing.pretended import pretended_device

N = 7


def pictures(channels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (N, channels, 32, 32), generator=generator, dtype=torch.uint8)


def corrupted(name: str) -> ImageData:
    data = ImageData.in_memory(pictures(), torch.arange(N) % 3, classes=3, source="test")
    return data.map(partial(corrupt, name=name, severity=3, table="cifar"))


@pytest.mark.parametrize("name", ["gaussian_noise", "glass_blur", "snow", "elastic_transform", "frost"])
@pytest.mark.parametrize("threads", [1, 2])
def test_corruptions_made_by_threads_are_the_same(name: str, threads: int) -> None:
    """Whatever the number of workers, and of torch's own threads in each."""
    data, before = corrupted(name), torch.get_num_threads()
    plain = data.fetch(torch.arange(N))
    expected = corrupt(plain, data.ids, name=name, severity=3, table="cifar").float() / 255
    torch.set_num_threads(threads)
    try:
        for workers in (0, 1, 3):
            images, labels = zip(*data.batches(4, workers=workers), strict=True)
            assert torch.equal(torch.cat(images), expected)
            assert torch.equal(torch.cat(labels), data.labels)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_label_maps_stay_beside_corrupted_colors(workers: int) -> None:
    pixels = pictures(4) % 5
    data = ImageData.with_label_maps(pixels, classes=5, source="test").map(lambda x, ids: x + 1)
    images, masks = zip(*data.batches(4, workers=workers), strict=True)
    assert torch.equal(torch.cat(images), (pixels[:, :3] + 1).float() / 255)
    assert torch.equal(torch.cat(masks), pixels[:, 3].long())


@pytest.mark.parametrize("inference", [True, False])
def test_on_a_cpu_threads_run_the_transforms_in_the_mode_of_the_reader(inference: bool) -> None:
    seen = []

    def transform(images: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        seen.append((threading.current_thread(), torch.is_inference_mode_enabled(), len(ids)))
        return images

    data = ImageData.in_memory(pictures(), torch.zeros(N).long(), classes=1, source="test").map(transform)
    with torch.inference_mode(inference):
        list(data.batches(4, workers=2))
    assert threading.main_thread() not in {thread for thread, _, _ in seen}
    assert {mode for _, mode, _ in seen} == {inference}
    assert sum(count for _, _, count in seen) == N


def test_the_first_batch_is_begun_before_it_is_requested() -> None:
    begun = threading.Event()

    def transform(images: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        begun.set()
        return images

    data = ImageData.in_memory(pictures(), torch.zeros(N).long(), classes=1, source="test").map(transform)
    with Reader("cpu", 1) as reader:
        reader.batches(data.parts(4))
        assert begun.wait(timeout=60)


def test_one_item_is_drawn_ahead() -> None:
    drawn: list[int] = []
    items = one_ahead(drawn.append(at) or at for at in range(4))
    assert drawn == [0]
    assert next(items) == 0
    assert drawn == [0, 1]
    assert [*items] == [1, 2, 3]
    assert [*one_ahead([])] == []


def test_copies_to_a_gpu_do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: calls.append("pinned") or tensor)
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, device, **options: calls.append(options) or tensor)
    to_device(torch.zeros(2), torch.device("cuda"))
    assert calls == ["pinned", {"non_blocking": True}]


def test_requests_and_batches_may_share_a_generator() -> None:
    images = torch.zeros(8, 3, 2, 2, dtype=torch.uint8)
    data = ImageData.in_memory(images, torch.arange(8), classes=8, source="test")
    drawn = []
    for workers in (0, 1, 3):
        generator = torch.Generator().manual_seed(0)
        requests = ((data, torch.randint(8, (2,), generator=generator)) for _ in range(5))
        numbers = []
        for _, labels in read_ahead(requests, "cpu", workers):
            numbers += [*labels.tolist(), int(torch.randint(100, (), generator=generator))]
        drawn.append(numbers)
    assert drawn[0] == drawn[1] == drawn[2]


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("workers", [0, 2])
def test_what_runs_on_a_cpu_anyway_runs_before_the_images_go_to_the_device(
    channels: int, workers: int
) -> None:
    """By the threads that decode; then nothing is copied back, and the pixels are the same."""
    pixels, labels = pictures(channels) % 3, torch.arange(N) % 3
    if channels == 4:
        data = ImageData.with_label_maps(pixels, classes=3, source="test")
    else:
        data = ImageData.in_memory(pixels, labels, classes=3, source="test")
    change, threads, devices = partial(corrupt, name="pixelate", severity=3, table="cifar"), set(), set()

    def transform(images: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        threads.add(threading.current_thread())
        return change(images, ids)

    def look(images: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        devices.add(images.device.type)
        return images

    expected = data.map(change).map(look).batch(torch.arange(N))
    assert devices == {"cpu"}
    with pretended_device() as there:
        found = list(data.map(transform, on_cpu=True).map(look).batches(4, there.device, workers))
    assert devices == {"cpu", "cuda"}
    assert (threading.main_thread() in threads) == (workers == 0)
    assert not there.notes.waits
    for whole, parts in zip(expected, zip(*found, strict=True), strict=True):
        assert torch.equal(torch.cat(parts), whole)


def test_a_transform_for_the_cpu_stays_behind_one_that_came_before() -> None:
    data = ImageData.in_memory(pictures() // 2, torch.zeros(N).long(), classes=1, source="test")
    both = data.map(lambda x, ids: x + 1).map(lambda x, ids: x * 2, on_cpu=True)
    images, _ = both.batch(torch.arange(N))
    assert torch.equal(images, ((pictures() // 2 + 1) * 2).float() / 255)


@pytest.mark.parametrize(
    "images",
    [
        torch.rand(N, 3, 8, 8),
        torch.zeros(N, 3, 8, 8, dtype=torch.int64),
        torch.zeros(N, 4, 8, 8, dtype=torch.uint8),
        torch.zeros(N, 1, 8, 8, dtype=torch.uint8),
        torch.zeros(N, 8, 8, 3, dtype=torch.uint8),
        torch.zeros(N, 8, 8, dtype=torch.uint8),
    ],
    ids=lambda images: f"{images.dtype} {tuple(images.shape)}",
)
@pytest.mark.parametrize("workers", [0, 2])
def test_images_of_another_type_or_shape_are_refused(images: torch.Tensor, workers: int) -> None:
    """In memory, from `fetch` and from transforms; otherwise they would be scored, and wrongly."""
    labels = torch.zeros(N).long()
    got = re.escape(f"got {str(images.dtype)[6:]} {tuple(images.shape)}; convert them")
    with pytest.raises(DataError, match=rf"^mine: expected uint8 images \(7, 3, height, width\), {got}"):
        ImageData.in_memory(images, labels, classes=1, source="mine")
    sound = ImageData.in_memory(pictures(), labels, classes=1, source="mine")
    for data, what in (
        (replace(sound, fetch=images.__getitem__), ""),
        (sound.map(lambda _, ids: images[: len(ids)], on_cpu=True), " from a transform"),
        (sound.map(lambda _, ids: images[: len(ids)]), " from a transform"),
    ):
        for part in (data, data.subset(torch.arange(N)), data.decoded_once()):
            expected = rf"^mine: expected uint8 images \(\d, 3, height, width\){what}, got "
            with pytest.raises(DataError, match=expected):
                list(part.batches(4, workers=workers))


def test_pairs_of_an_image_and_a_label_map_have_four_channels() -> None:
    for pixels in (pictures(3), pictures(4).long()):
        with pytest.raises(DataError, match=r"^maps: expected uint8 images \(7, 4, height, width\), got "):
            ImageData.with_label_maps(pixels, classes=256, source="maps")
    data = ImageData.with_label_maps(pictures(4), classes=256, source="maps")
    with pytest.raises(DataError, match=r"^maps: .*, got uint8 \(7, 3, 32, 32\)"):
        replace(data, fetch=pictures(3).__getitem__).batch(torch.arange(N))
    with pytest.raises(DataError, match=r"^maps: .* from a transform, got float32 \(7, 3, 32, 32\)"):
        data.map(lambda images, ids: images / 255).batch(torch.arange(N))


def test_subsets_and_views_keep_the_transforms_for_the_cpu() -> None:
    data = ImageData.in_memory(pictures() // 2, torch.zeros(N).long(), classes=1, source="test")
    seen = replace(data, through_transform=lambda view: data).map(lambda x, ids: x * 2, on_cpu=True)
    for changed in (
        seen.subset(torch.arange(N)),
        seen.transformed(lambda image, id_: image),
        seen.decoded_once(),
    ):
        assert torch.equal(changed.prepared(torch.arange(N)), pictures() // 2 * 2)
