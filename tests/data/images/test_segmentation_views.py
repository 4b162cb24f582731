"""Views of pairs against torchvision on the same drawn numbers, to the pixel; what no view may change."""

import numpy as np
import pytest
from PIL import Image

from flatqat.data.images.segmentation_views import TRIES, center_crop, jitter_crop, join, split

functional = pytest.importorskip("torchvision.transforms.v2.functional")


def colors(size: tuple[int, int], seed: int = 0) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(256, size=(9, 9, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def labels(size: tuple[int, int], seed: int = 0) -> Image.Image:
    """Blocks of four classes and of what is ignored; class 0 and 255 would be confused by a wrong padding."""
    blocks = np.random.default_rng(seed).choice([0, 1, 2, 18, 255], size=(6, 8)).astype(np.uint8)
    return Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST)


def pair(size: tuple[int, int], seed: int = 0) -> Image.Image:
    return join(colors(size, seed), labels(size, seed))


def test_a_pair_comes_apart_as_it_was_joined():
    size = (37, 23)
    ours, theirs = split(pair(size)), (colors(size), labels(size))
    for mine, its in zip(ours, theirs, strict=True):
        assert mine.mode == its.mode
        assert (np.asarray(mine) == np.asarray(its)).all()


@pytest.mark.parametrize("size", [(64, 48), (65, 47), (20, 90), (31, 17)], ids=str)
@pytest.mark.parametrize("want", [(32, 40), (33, 17), (100, 120)], ids=str)
def test_the_middle_is_torchvisions_with_labels_padded_by_255(size, want):
    got = center_crop(want)(pair(size), 0)
    assert got.dtype == np.uint8
    assert (got[:, :, :3] == np.asarray(functional.center_crop(colors(size), list(want)))).all()
    inverted = Image.fromarray(255 - np.asarray(labels(size)))  # torchvision pads by zero alone
    assert (got[:, :, 3] == 255 - np.asarray(functional.center_crop(inverted, list(want)))).all()


@pytest.mark.parametrize("image_id", range(12))
@pytest.mark.parametrize("want", [(40, 56), (64, 64)], ids=str)
def test_a_random_window_is_torchvisions_on_the_same_draws(image_id, want):
    """Drawn in this order: the scale, top and left until the window fits, the mirror."""
    size, seed, most = (72, 51), 3, 0.75
    rng = np.random.Generator(np.random.PCG64([seed, image_id]))
    factor = rng.uniform(0.5, 2.0)
    resized = [max(1, round(side * factor)) for side in (size[1], size[0])]
    image = functional.resize(colors(size), resized, functional.InterpolationMode.BILINEAR)
    truth = functional.resize(labels(size), resized, functional.InterpolationMode.NEAREST)
    missing = [0, 0, max(0, want[1] - resized[1]), max(0, want[0] - resized[0])]
    image, truth = functional.pad(image, missing, fill=0), functional.pad(truth, missing, fill=255)
    for _ in range(TRIES):
        top = int(rng.integers(max(resized[0] - want[0], 0) + 1))
        left = int(rng.integers(max(resized[1] - want[1], 0) + 1))
        inside = np.asarray(functional.crop(truth, top, left, *want))
        known, counts = np.unique(inside[inside != 255], return_counts=True)
        if len(known) and counts.max() / counts.sum() <= most:
            break
    image, truth = (functional.crop(one, top, left, *want) for one in (image, truth))
    if rng.random() < 0.5:
        image, truth = functional.hflip(image), functional.hflip(truth)
    got = jitter_crop(want, seed, most=most)(pair(size), image_id)
    assert (got[:, :, :3] == np.asarray(image)).all()
    assert (got[:, :, 3] == np.asarray(truth)).all()


def test_random_windows_depend_on_seed_and_id_alone():
    image, view = pair((90, 60)), jitter_crop((32, 32), 1)
    first = view(image, 5)
    assert (view(image, 5) == first).all()
    assert not (view(image, 6) == first).all()
    assert not (jitter_crop((32, 32), 2)(image, 5) == first).all()


def test_colors_of_ignored_pixels_stay():
    """Resizing RGBA as it is would weigh colors by the label: black where it is 0."""
    gray = Image.new("RGB", (40, 40), (90, 120, 150))
    zeros, ignored = (Image.new("L", (40, 40), value) for value in (0, 255))
    for truth in (zeros, ignored):
        got = jitter_crop((16, 16), 0)(join(gray, truth), 0)
        assert (got[:, :, :3] == (90, 120, 150)).all()


def test_every_label_keeps_its_share_at_twice_the_size():
    """Nearest at a whole factor repeats each pixel: the histogram is four times that of the map."""
    image = pair((24, 18))
    got = jitter_crop((36, 48), 0, scale=(2.0, 2.0))(image, 0)
    counts = np.bincount(np.asarray(image.getchannel("A")).ravel(), minlength=256)
    assert (np.bincount(got[:, :, 3].ravel(), minlength=256) == 4 * counts).all()


def test_padding_adds_only_ignored_pixels():
    image = pair((24, 18))
    before = np.bincount(np.asarray(image.getchannel("A")).ravel(), minlength=256)
    for view in (center_crop((30, 50)), jitter_crop((30, 50), 0, scale=(1.0, 1.0))):
        after = np.bincount(view(image, 0)[:, :, 3].ravel(), minlength=256)
        assert (after[:255] == before[:255]).all()
        assert after[255] == before[255] + 30 * 50 - 24 * 18


def test_a_window_that_one_class_fills_is_drawn_again():
    """A road with a strip of another class: windows of road alone are rarer than without the rule."""
    truth = np.zeros((60, 200), np.uint8)
    truth[:, :30] = 1
    truth[:, 100:] = 255
    image = join(colors((200, 60)), Image.fromarray(truth))

    def one_class(most: float) -> int:
        view = jitter_crop((30, 40), 0, scale=(1.0, 1.0), most=most)
        cuts = [view(image, i)[:, :, 3] for i in range(200)]
        return sum(len(set(np.unique(cut)) - {255}) < 2 for cut in cuts)

    assert one_class(1.0) > 100
    assert one_class(0.75) < 50  # ten draws, of which one in six fits


def test_half_of_the_pairs_are_mirrored_and_none_where_it_is_not_asked_for():
    ramp = np.tile(np.arange(200, dtype=np.uint8), (100, 1))
    image = join(Image.fromarray(np.dstack([ramp] * 3)), Image.fromarray(ramp))
    view = jitter_crop((20, 20), 0, scale=(1.0, 1.0))
    mirrored = sum(int(view(image, i)[0, 0, 3]) > int(view(image, i)[0, -1, 3]) for i in range(400))
    assert 150 < mirrored < 250  # five standard deviations of a fair coin
    straight = jitter_crop((20, 20), 0, scale=(1.0, 1.0), flip=False)
    cuts = [straight(image, i) for i in range(40)]
    assert all(int(cut[0, 0, 3]) < int(cut[0, -1, 3]) for cut in cuts)
    assert all((cut[:, :, 0] == cut[:, :, 3]).all() for cut in cuts)
