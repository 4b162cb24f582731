"""Cuts against torchvision's transforms, to the pixel; random cuts by their laws; files through views."""

from math import log
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from flatqat.data.images.views import _window, eval_crop, random_resized_crop
from flatqat.data.tensors.image_files import image_files
from flatqat.data.tensors.reading import read_ahead
from flatqat.errors import DataError
from flatqat.spec import EvalTransform

SIZES = [(500, 375), (375, 500), (256, 256), (257, 300), (90, 640), (224, 224)]
FRAMES = [
    EvalTransform(),
    EvalTransform(resize=232, crop=224),
    EvalTransform(resize=248, crop=224, interpolation="bicubic"),
    EvalTransform(resize=224, crop=224, squash=True),
    EvalTransform(resize=64, crop=64),
]


def picture(size: tuple[int, int], seed: int = 0) -> Image.Image:
    width, height = size
    coarse = np.random.default_rng(seed).integers(256, size=(9, 9, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("frame", FRAMES, ids=str)
def test_cuts_are_torchvisions(frame, size):
    transforms = pytest.importorskip("torchvision.transforms")
    resize = [frame.resize, frame.resize] if frame.squash else frame.resize
    theirs = transforms.Compose(
        [
            transforms.Resize(resize, transforms.InterpolationMode(frame.interpolation)),
            transforms.CenterCrop(frame.crop),
        ]
    )
    image = picture(size)
    assert (eval_crop(frame)(image, 0) == np.asarray(theirs(image))).all()


def test_a_crop_larger_than_the_image_is_padded_with_black():
    transforms = pytest.importorskip("torchvision.transforms")
    frame = EvalTransform(resize=100, crop=131)
    theirs = transforms.Compose([transforms.Resize(100), transforms.CenterCrop(131)])
    for size in ((100, 100), (130, 200), (333, 101)):
        assert (eval_crop(frame)(picture(size), 0) == np.asarray(theirs(picture(size)))).all()


def test_random_windows_follow_their_law():
    """Areas uniform, log ratios uniform, where every window fits; means to five standard errors."""
    rng, area = np.random.default_rng(0), (0.1, 0.3)
    windows = np.array([_window((1000, 1000), area, rng) for _ in range(2000)])
    left, top, width, height = windows.T
    shares, ratios = width * height / 1e6, np.log(width / height)
    assert shares.mean() == pytest.approx(0.2, abs=5 * 0.2 / np.sqrt(12 * 2000))
    assert ratios.mean() == pytest.approx(0, abs=5 * 2 * log(4 / 3) / np.sqrt(12 * 2000))
    assert (shares > 0.099).all()
    assert (shares < 0.301).all()
    assert (np.abs(ratios) < log(4 / 3) + 0.01).all()
    assert (left >= 0).all()
    assert (left + width <= 1000).all()
    for start, length in ((left, width), (top, height)):
        place = start / (1000 - length)
        assert place.mean() == pytest.approx(0.5, abs=5 / np.sqrt(12 * 2000))


def test_an_image_that_no_window_fits_is_cut_in_the_middle():
    assert _window((400, 100), (0.9, 1.0), np.random.default_rng(0)) == ((400 - 133) // 2, 0, 133, 100)
    assert _window((100, 400), (0.9, 1.0), np.random.default_rng(0)) == (0, (400 - 133) // 2, 100, 133)


def test_random_cuts_depend_on_seed_and_id_alone():
    image = picture((300, 200))
    view = random_resized_crop(EvalTransform(crop=64), seed=1, area=(0.1, 1.0))
    first = view(image, 5)
    assert first.shape == (64, 64, 3)
    assert (view(image, 5) == first).all()
    assert not (view(image, 6) == first).all()
    assert not (random_resized_crop(EvalTransform(crop=64), seed=2, area=(0.1, 1.0))(image, 5) == first).all()


def test_half_of_the_images_are_mirrored():
    ramp = Image.fromarray(np.tile(np.arange(256, dtype=np.uint8)[None, :, None], (256, 1, 3)))
    view = random_resized_crop(EvalTransform(crop=16), seed=0, area=(0.5, 1.0))
    mirrored = sum(int(view(ramp, i)[0, 0, 0]) > int(view(ramp, i)[0, -1, 0]) for i in range(400))
    assert 150 < mirrored < 250  # five standard deviations of a fair coin
    still = random_resized_crop(EvalTransform(crop=16), seed=0, area=(0.5, 1.0), flip=False)
    assert all(int(still(ramp, i)[0, 0, 0]) < int(still(ramp, i)[0, -1, 0]) for i in range(50))


@pytest.fixture
def files(tmp_path: Path):
    paths = []
    for at, size in enumerate(SIZES):
        picture(size, seed=at).save(tmp_path / f"{at}.png")
        paths.append(tmp_path / f"{at}.png")
    n = len(SIZES)
    return image_files(paths, torch.arange(n) % 3, torch.arange(n) + 100, classes=3, source="test")


def test_files_are_seen_through_views_in_any_order_of_operations(files):
    """Subset, transform and view commute."""
    index, view = torch.tensor([4, 0, 2]), eval_crop(EvalTransform(resize=40, crop=32))
    expected = np.stack([view(picture(SIZES[at], at), 0) for at in index.tolist()])
    darker = files.subset(index).map(lambda x, ids: x // 2)
    orders = [
        darker.transformed(view),
        files.transformed(view).subset(index).map(lambda x, ids: x // 2),
        files.map(lambda x, ids: x // 2).transformed(view).subset(index),
    ]
    for data in orders:
        images, labels = data.batch(torch.arange(3))
        assert (images == torch.from_numpy(expected // 2).permute(0, 3, 1, 2).float() / 255).all()
        assert labels.tolist() == [1, 0, 2]
        assert data.ids.tolist() == [104, 100, 102]
        assert data.transformed(eval_crop(EvalTransform())) is data or data.through_transform is not None


def test_a_view_knows_the_id_of_each_image(files):
    seen = []
    data = files.subset(torch.tensor([3, 1])).transformed(
        lambda image, image_id: seen.append(image_id) or np.zeros((2, 2, 3), np.uint8)
    )
    data.batch(torch.arange(2))
    assert seen == [103, 101]


def test_a_view_that_returns_other_pixels_is_refused(files):
    """Their values would be cut to 8 bits."""
    data = files.transformed(lambda image, image_id: np.full((2, 2, 3), 0.5, np.float32))
    with pytest.raises(DataError, match=r"^test: expected uint8 images .*, got float32 \(6, 3, 2, 2\)"):
        data.batch(torch.arange(6))


def test_lists_of_other_lengths_are_refused():
    one, two = torch.zeros(1, dtype=torch.long), torch.zeros(2, dtype=torch.long)
    for labels, ids, got in ((one, one, "1 and 1"), (two, one, "2 and 1"), (one, two, "1 and 2")):
        expected = f"^test: expected a label and an id for each image, got {got} for 2$"
        with pytest.raises(DataError, match=expected):
            image_files(["a.png", "b.png"], labels, ids, classes=1, source="test")
    with pytest.raises(DataError, match=r"^test: expected a group for each image, got 1 for 2$"):
        image_files(["a.png", "b.png"], two, two, classes=1, source="test", groups=one)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_reading_ahead_changes_nothing(files, workers):
    data = files.transformed(eval_crop(EvalTransform(resize=40, crop=32)))
    plain = [data.batch(index) for index in torch.arange(6).split(4)]
    for (x, y), (x2, y2) in zip(plain, data.batches(4, workers=workers), strict=True):
        assert torch.equal(x, x2)
        assert torch.equal(y, y2)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_file_names_itself(files, tmp_path, workers):
    content = (tmp_path / "2.png").read_bytes()
    (tmp_path / "2.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"2\.png: expected an image.*restore it"):
        list(files.transformed(eval_crop(EvalTransform())).batches(2, workers=workers))


def test_reading_ahead_decodes_one_batch_ahead(files):
    asked = []
    data = files.transformed(lambda image, image_id: asked.append(image_id) or np.zeros((2, 2, 3), np.uint8))
    batches = read_ahead(((data, torch.tensor([at])) for at in range(6)), "cpu", 1)
    next(batches)
    assert 1 <= len(asked) <= 2
    list(batches)
    assert asked == [100, 101, 102, 103, 104, 105]
