"""The small segmentation network: its size, images of any size, learning what no pixel tells alone."""

import pytest
import torch
from torch.nn import functional as F

from flatqat import registry, testing
from flatqat.models.base import ModelSource, Normalized, build
from flatqat.models.tiny_seg import TinySeg
from flatqat.testing.models import last_layer_classifies_pixels


def test_contract():
    for check in testing.CHECKS[registry.MODELS]:
        check(registry.load(registry.MODELS, "tiny-seg"))


def test_a_classifier_registered_before_other_layers_fails_the_contract():
    class Early(TinySeg):
        def __init__(self, classes):
            super().__init__(classes)
            stem = self.stem
            del self.stem
            self.stem = stem

    def early(_, classes):
        return Normalized(Early(classes), (0, 0, 0), (1, 1, 1), task="segmentation")

    with pytest.raises(AssertionError, match=r"to run last, got classify after stem\.0"):
        last_layer_classifies_pixels(ModelSource(names=lambda: [""], build=early))


def test_size_and_task():
    model = build("tiny-seg", classes=19, seed=0)
    assert model.task == "segmentation"
    assert model.window is None
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(80_000, rel=0.1)  # its docstring's


@pytest.mark.parametrize("size", [(96, 192), (33, 50), (8, 8), (5, 3)])
def test_images_of_any_size(size):
    model = build("tiny-seg", classes=3, seed=0).eval()
    with torch.no_grad():
        assert model(torch.rand(2, 3, *size)).shape == (2, 3, *size)


def test_it_learns_colors_and_places():
    """Two colors, and the lower half of the image is another class: 4 classes, of which color tells 2."""
    generator = torch.Generator().manual_seed(0)
    cells = torch.randint(2, (16, 1, 4, 8), generator=generator)
    color = F.interpolate(cells.float(), scale_factor=8)
    images = 0.2 + 0.6 * color + 0.05 * torch.randn(16, 3, 32, 64, generator=generator)
    masks = color[:, 0].long() + 2 * (torch.arange(32) >= 16).long()[:, None]
    model = build("tiny-seg", classes=4, seed=0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(40):
        optimizer.zero_grad()
        F.cross_entropy(model(images), masks).backward()
        optimizer.step()
    with torch.no_grad():
        right = (model.eval()(images).argmax(1) == masks).float().mean()
    assert right > 0.9  # 0.5 is the best by color alone
