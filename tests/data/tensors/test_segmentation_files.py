"""Images with label maps from disk: what comes out, in which order, and faults of maps with their causes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from flatqat.data.images.label_maps import check_together, check_values
from flatqat.data.images.segmentation_views import center_crop, uncropped
from flatqat.data.tensors.reading import read_ahead
from flatqat.data.tensors.segmentation_files import segmentation_files
from flatqat.errors import DataError
from tests.helpers import street_files

N = 5


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for at in range(N):
        image, labels = street_files.drawn(at)
        image.save(tmp_path / f"{at}.png")
        labels.save(tmp_path / f"{at}_mask.png")
    return tmp_path


def load(folder: Path, **more):
    images = [str(folder / f"{at}.png") for at in range(N)]
    masks = [str(folder / f"{at}_mask.png") for at in range(N)]
    return segmentation_files(images, masks, torch.arange(N) + 100, classes=19, source="test", **more)


def test_images_and_maps_are_those_of_the_files(folder):
    images, masks = load(folder, view=uncropped).batch(torch.tensor([3, 0]))
    assert images.shape == (2, 3, 48, 96)
    assert images.dtype == torch.float32
    assert masks.shape == (2, 48, 96)
    assert masks.dtype == torch.int64
    for row, at in enumerate((3, 0)):
        image, labels = street_files.drawn(at)
        assert (images[row].permute(1, 2, 0).numpy() * 255 == np.asarray(image)).all()
        assert (masks[row].numpy() == np.asarray(labels)).all()


def test_subset_transform_and_view_commute(folder):
    """And transforms leave the labels alone."""
    index, view = torch.tensor([4, 1]), center_crop((20, 30))
    darker = load(folder).subset(index).map(lambda x, ids: x // 2)
    for data in (
        darker.transformed(view),
        load(folder).map(lambda x, ids: x // 2).transformed(view).subset(index),
    ):
        images, masks = data.batch(torch.arange(2))
        for row, at in enumerate(index.tolist()):
            expected = view(pair_of(at), 0)
            assert (images[row].permute(1, 2, 0).numpy() * 255 == expected[:, :, :3] // 2).all()
            assert (masks[row].numpy() == expected[:, :, 3]).all()
        assert data.ids.tolist() == [104, 101]


def pair_of(at: int) -> Image.Image:
    image, labels = street_files.drawn(at)
    image.putalpha(labels)
    return image


def test_a_table_translates_and_palettes_are_read_as_numbers(folder):
    for at in range(N):
        labels = street_files.drawn(at)[1]
        paletted = Image.frombytes("P", labels.size, labels.tobytes())
        paletted.putpalette([level for color in range(256) for level in (color, 255 - color, 7)])
        paletted.save(folder / f"{at}_mask.png")
    lut = np.arange(256, dtype=np.uint8)
    lut[13] = 255
    plain, changed = load(folder, view=uncropped), load(folder, view=uncropped, lut=lut)
    first, second = plain.fetch(torch.arange(N))[:, 3], changed.fetch(torch.arange(N))[:, 3]
    waiting = load(folder, lut=lut).transformed(uncropped).fetch(torch.arange(N))[:, 3]
    assert (second == waiting).all()
    assert (first == 13).any()
    assert (second == torch.where(first == 13, 255, first)).all()
    assert (first[0].numpy() == np.asarray(street_files.drawn(0)[1])).all()


def test_nothing_is_decoded_before_it_is_asked_for(folder):
    data = load(folder)
    (folder / "3.png").write_bytes(b"damaged")
    (folder / "4_mask.png").write_bytes(b"damaged")
    data.transformed(uncropped).batch(torch.tensor([0]))
    with pytest.raises(DataError, match=r"3\.png: expected an image.*restore it"):
        data.fetch(torch.tensor([3]))
    with pytest.raises(DataError, match=r"4_mask\.png: expected an image.*restore it"):
        data.fetch(torch.tensor([4]))


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_change_nothing(folder, workers):
    data = load(folder, view=uncropped)
    parts = [(data, index) for index in torch.arange(N).split(2)]
    ahead = list(read_ahead(parts, "cpu", workers))
    assert all(
        torch.equal(got, want)
        for batch, (one, index) in zip(ahead, parts, strict=True)
        for got, want in zip(batch, one.batch(index), strict=True)
    )


def test_a_map_of_another_size_names_both_files(folder):
    with Image.open(folder / "1_mask.png") as image:
        image.resize((48, 24), Image.Resampling.NEAREST).save(folder / "1_mask.png")
    with pytest.raises(DataError, match=r"1\.png: .* 96x48, got 48x24 in .*1_mask\.png"):
        load(folder).fetch(torch.tensor([1]))


def test_images_of_other_kinds_are_read_as_rgb_and_those_of_16_bits_refused(folder):
    """Pillow would clip 16 bits to 8: an image all white."""
    gray = street_files.drawn(1)[0].convert("L")
    for mode in ("L", "P", "RGBA"):
        gray.convert(mode).save(folder / "1.png")
        colors = load(folder).fetch(torch.tensor([1]))[0, :3]
        assert (colors.numpy() == np.asarray(gray)).all()
    Image.fromarray(np.asarray(gray).astype(np.uint16) * 257).save(folder / "1.png")
    with pytest.raises(DataError, match=r"1\.png: expected an image of 8 bits a channel, got mode I;16; "):
        load(folder).fetch(torch.tensor([1]))


def test_images_of_two_sizes_are_refused_whole_and_cropped_alike(folder):
    image, labels = street_files.drawn(2, (80, 40))
    image.save(folder / "2.png")
    labels.save(folder / "2_mask.png")
    with pytest.raises(DataError, match=r"96x48 in .*0\.png and 80x40 in .*2\.png"):
        load(folder, view=uncropped).fetch(torch.tensor([2]))
    assert load(folder, view=center_crop((30, 30))).fetch(torch.arange(N)).shape == (N, 4, 30, 30)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda labels: street_files.LABEL_IDS[labels], "labelIds, 0 to 33.*csCreateTrainIdLabelImgs"),
        (lambda labels: np.where(labels == 255, 255, labels + 1), "start at 1, off by one"),
        (
            lambda labels: labels + np.uint8(1),
            "no pixel is 255, so either labels start at 1, off by one, and 0",
        ),
        (lambda labels: np.where(labels == 255, 19, labels), "no pixel is 255, .*or 19 marks them"),
        (lambda labels: labels - np.uint8(1), "subtracted from all labels, so that 255 became 254"),
        (lambda labels: np.where(labels == 13, 77, labels), "got 77; these labels belong to another dataset"),
        (lambda labels: np.dstack([labels] * 3), "got colors: a map for display"),
        (lambda labels: labels.astype(np.uint16) * 1000, "as maps of instances have"),
    ],
    ids=["labelIds", "from 1", "from 1 and 0", "19", "reduced", "other", "colors", "instances"],
)
def test_wrong_maps_are_refused_with_the_cause(folder, change, cause):
    labels = np.full((48, 96), 0, np.uint8)
    labels[:9], labels[9:20], labels[20:30] = 255, 18, 13
    Image.fromarray(change(labels)).save(folder / "0_mask.png")
    with pytest.raises(DataError, match=rf"0_mask\.png: expected .*{cause}"):
        load(folder).fetch(torch.tensor([0]))


def test_the_name_of_a_file_is_a_cause_too():
    with pytest.raises(DataError, match="labelIds"):
        check_values([0, 19], classes=19, name="a_gtFine_labelIds.png")
    check_values([0, 18, 255], classes=19, name="a_gtFine_labelTrainIds.png")


def test_several_maps_without_the_first_class_start_at_one():
    with pytest.raises(DataError, match="off by one"):
        check_together([1, 2, 18, 255], maps=8, classes=19)
    check_together([0, 18, 255], maps=8, classes=19)
    check_together([1, 2], maps=2, classes=19)


def test_several_maps_with_255_alone_or_without_it_are_refused():
    """Hidden labels; and labels that start at 1 with 0 for void, whose last class no map shows."""
    with pytest.raises(DataError, match="got 255 alone: no pixel would be scored"):
        check_together([255], maps=8, classes=19)
    with pytest.raises(DataError, match=r"expected 255 in some of 8.*off by one, with 0 in its place"):
        check_together([0, 1, 18], maps=8, classes=19)
    check_together([255], maps=2, classes=19)
    check_together([0, 1], maps=2, classes=19)


def test_lists_of_other_lengths_are_refused():
    with pytest.raises(
        DataError, match="test: expected a label map and an id for each image, got 1 and 2 for 2"
    ):
        segmentation_files(["a", "b"], ["c"], torch.arange(2), classes=19, source="test")
    with pytest.raises(DataError, match="test: expected images, got none"):
        segmentation_files([], [], torch.arange(0), classes=19, source="test")
