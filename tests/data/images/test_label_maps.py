"""Images with a label map as their fourth channel."""

import pytest
import torch

from flatqat.data.tensors.image_data import ImageData
from flatqat.errors import DataError

PIXELS = torch.randint(4, (6, 4, 5, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
PIXELS[2, 3, 0] = 255


def data() -> ImageData:
    return ImageData.with_label_maps(PIXELS, classes=4, source="toy")


def test_a_batch_holds_colors_and_label_maps():
    images, masks = data().batch(torch.tensor([2, 0]))
    assert torch.equal(images, PIXELS[[2, 0], :3].float() / 255)
    assert torch.equal(masks, PIXELS[[2, 0], 3].long())
    assert masks.dtype == torch.int64


def test_transforms_see_the_colors_and_leave_the_labels():
    dark = data().map(lambda images, ids: images // 2 + ids.view(-1, 1, 1, 1).to(torch.uint8))
    images, masks = dark.subset(torch.tensor([4, 1])).batch(torch.tensor([0]))
    assert torch.equal(images, (PIXELS[4:5, :3] // 2 + 4).float() / 255)
    assert torch.equal(masks, PIXELS[4:5, 3].long())


def test_samples_and_workers_keep_pairs_together():
    once = list(data().sample(4).batches(2))
    ahead = list(data().sample(4).batches(2, workers=2))
    for (x, y), (other_x, other_y) in zip(once, ahead, strict=True):
        assert torch.equal(x, other_x)
        assert torch.equal(y, other_y)
    assert len(data().sample(4)) == 4


def test_labels_are_part_of_the_fingerprint():
    other = PIXELS.clone()
    other[0, 3, 0, 0] = (other[0, 3, 0, 0] + 1) % 4
    assert data().fingerprint() != ImageData.with_label_maps(other, classes=4, source="toy").fingerprint()


def test_labels_out_of_range_are_refused():
    with pytest.raises(
        DataError, match="expected train ids 0 to 2, and 255 for pixels that are not scored, got 3"
    ):
        ImageData.with_label_maps(PIXELS, classes=3, source="toy")
    with pytest.raises(DataError, match="got none"):
        ImageData.with_label_maps(PIXELS[:0], classes=3, source="toy")
