"""How much work corruptions do for a pixel: what makes them fast, counted, not timed."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from flatqat.data.corruptions import _drops, _filter, blur
from flatqat.data.corruptions import jpeg as jpeg_corruption
from flatqat.data.corruptions import pixelate as pixelation
from flatqat.data.corruptions._smooth import smooth
from flatqat.data.corruptions.apply import corrupt
from flatqat.data.corruptions.constants import CONSTANTS
from flatqat.data.images import jpeg

SIZE = 64


class Written(TorchDispatchMode):
    """Counts the bytes that PyTorch's operations return, views included, by the type of numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes: Counter[torch.dtype] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and not func.is_view:
            self.bytes[result.dtype] += result.nbytes
        return result


def written(work: Callable[[], object]) -> Counter[torch.dtype]:
    work()  # tables are made once
    with Written() as counter:
        work()
    return counter.bytes


def noise(count: int, channels: int = 3) -> Tensor:
    return torch.randint(
        256, (count, channels, SIZE, SIZE), generator=torch.Generator().manual_seed(0)
    ).byte()


def test_brightness_makes_no_floating_point_numbers() -> None:
    images = noise(2)
    made = written(lambda: corrupt(images, torch.arange(2), name="brightness", severity=3, table="imagenet"))
    assert not any(dtype.is_floating_point for dtype in made)
    assert sum(made.values()) < 16 * images.numel()


def test_smoothing_fills_vectors_with_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    filtered, correlate = [], _filter.correlated
    monkeypatch.setattr(_filter, "correlated", lambda x, kernel: filtered.append(x) or correlate(x, kernel))
    smooth(noise(1, channels=1), 2.0)
    assert [tuple(x.shape) for x in filtered] == [(1, 16, SIZE // 16, SIZE + 16)] * 2


def test_defocus_multiplies_no_tiny_numbers() -> None:
    """They take a hundred times as long: float32 has none below 2^-126 with all its digits."""
    for table in CONSTANTS.values():
        for constants in table["defocus_blur"]:
            kernel = blur.disk(*constants)
            assert float(kernel[kernel > 0].min()) >= 2**-40


def test_distances_are_found_in_68_minima() -> None:
    """Four directions in steps of 1 to 16, four of 1 to 8, eight of 1 to 8. Each step is one more pass."""
    edges = (noise(1, channels=1) < 3).to(torch.int8).neg_()
    minima = 4 * 5 + 4 * 4 + 8 * 4
    made = written(lambda: _drops._distance(edges))[torch.float32]
    assert made <= (minima + 5 + 4 + 4 + 4) * edges.numel() * 4


def test_edges_are_found_in_small_integers() -> None:
    level = noise(1, channels=1).float()
    made = written(lambda: _drops._peaks(level))
    assert torch.bool not in made
    assert made[torch.float32] <= 4 * level.nbytes


def test_pixelate_takes_each_pixel_once(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []

    class Watched(pixelation.np.ndarray):  # type: ignore[name-defined, misc]
        def take(self, indices: Any, axis: Any = None) -> Any:
            taken.append((axis, len(indices)))
            return pixelation.np.asarray(self).take(indices, axis)

    x = pixelation.np.zeros((SIZE, SIZE, 16), pixelation.np.uint8).view(Watched)
    pixelation._shrunk(x, 39, 1)
    assert sum(count for _, count in taken) == SIZE


def test_jpeg_is_decoded_by_simplejpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("simplejpeg", reason="the extra `fast` is not installed")
    images = noise(2)

    def compressed() -> Tensor:
        return corrupt(images, torch.arange(2), name="jpeg_compression", severity=3, table="imagenet")

    with monkeypatch.context() as without:
        without.setattr(jpeg_corruption, "fast_decoder", lambda: None)
        expected = compressed()
    assert jpeg.fast_decoder() is not None
    monkeypatch.setattr(jpeg_corruption.Image, "frombytes", lambda *_: pytest.fail("decoded by Pillow"))
    assert torch.equal(compressed(), expected)
