"""Sliding windows against a count by hand, and against the whole image at the window's size."""

import pytest
import torch
from torch import nn

from flatqat.errors import UsageError
from flatqat.models.base import Normalized
from flatqat.models.sliding import slide, spans
from flatqat.spec import Window


def window(text: str) -> Window:
    found = Window.parse(text)
    assert found is not None
    return found


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 5, 3, padding=1)).eval()


def test_an_image_of_window_size_is_seen_once_and_whole():
    net, images = network(), torch.rand(2, 3, 12, 20)
    assert torch.equal(slide(net, images, window("12x20")), net(images))
    assert torch.equal(slide(net, images, window("64:16")), net(images))  # cut to the image


def test_logits_are_averaged_where_windows_overlap():
    """Pixel by pixel: the mean over every window that holds the pixel."""
    net, images, size, stride = network(), torch.rand(1, 3, 11, 17), (6, 8), (4, 3)
    found = slide(net, images, window("6x8:4x3"))
    tops = sorted({min(top, 11 - 6) for top in range(0, 11, stride[0])})
    lefts = sorted({min(left, 17 - 8) for left in range(0, 17, stride[1])})
    for y in range(11):
        for x in range(17):
            seen = [
                net(images[..., top : top + 6, left : left + 8])[0, :, y - top, x - left]
                for top in tops
                for left in lefts
                if top <= y < top + size[0] and left <= x < left + size[1]
            ]
            expected = torch.stack(seen).mean(0)
            assert torch.allclose(found[0, :, y, x], expected, atol=1e-6)  # another order of float32 sums


@pytest.mark.parametrize(
    ("length", "size", "stride", "starts"),
    [(8, 8, 5, [0]), (9, 8, 5, [0, 1]), (16, 8, 8, [0, 8]), (20, 8, 5, [0, 5, 10, 12]), (5, 8, 5, [0])],
)
def test_windows_cover_a_side_and_end_at_its_edge(length, size, stride, starts):
    found = spans(length, size, stride)
    assert [s.start for s in found] == starts
    assert found[-1].stop == length


def test_only_prediction_slides():
    """Training and flatness see the image whole."""
    model = Normalized(network(), (0.0,) * 3, (1.0,) * 3, task="segmentation", window=window("8:4"))
    images = torch.rand(1, 3, 16, 16)
    assert torch.equal(model(images), model.net(images))
    assert not torch.equal(model.predict(images), model(images))
    assert "window 8:4" in model.preprocessing


@pytest.mark.parametrize("text", ["512x1024:256x512", "512:256", "64x96:64"])
def test_a_window_reads_its_own_text(text):
    assert str(window(text)) == text


def test_windows_as_text():
    assert Window.parse("whole") is None
    assert window("30") == window("30:20") == window("30x30:20x20")  # two thirds
    for wrong in ("", "x", "512:", "0", "512:600", "8x", "９"):
        with pytest.raises(UsageError, match="window"):
            Window.parse(wrong)


def test_windows_in_half_precision_are_summed_in_single():
    """Forty windows a pixel: bfloat16 sums would be off by percents, single ones by the inputs' rounding."""
    value = torch.tensor(1.01).bfloat16()
    images = torch.zeros(1, 3, 40, 4)
    found = slide(lambda seen: value.expand(1, 1, *seen.shape[2:]), images, window("40x4:1x1"))
    assert found.dtype == torch.float32
    several = slide(lambda seen: value.expand(1, 1, *seen.shape[2:]), images, window("20x4:1x4"))
    assert torch.equal(several, value.float().expand(1, 1, 40, 4))
