"""The suite `streets`: its parts, its transforms, and that nothing is rendered before it is needed."""

import colorsys

import pytest
import torch
from PIL import Image

from flatqat import registry
from flatqat.data.streets.names import CLASSES
from flatqat.scenes import load as scenes
from flatqat.spec import EvalTransform
from flatqat.suite import Suite
from flatqat.suites.streets import CROP
from flatqat.testing import suites as suite_checks


@pytest.fixture
def suite() -> Suite:
    found: Suite = registry.load(registry.SUITES, "streets")
    return found


def test_it_meets_the_contract_of_suites(suite: Suite) -> None:
    for check in suite_checks.CHECKS:
        check(suite)


def test_weathers_show_the_scenes_of_the_id_set(suite: Suite) -> None:
    assert [shift.name for shift in suite.shifts] == ["id", "fog", "night", "rain", "snow"]
    assert {shift.image_set for shift in suite.shifts} == {"id"}
    sets = [shift.build(None) for shift in suite.shifts]
    assert all(torch.equal(data.ids, sets[0].ids) for data in sets)
    clear, *others = (data.fetch(torch.tensor([0, 7])) for data in sets)
    for other in others:
        assert torch.equal(other[:, 3], clear[:, 3])
        assert ((other[:, :3].float() - clear[:, :3]).abs().mean(dim=(1, 2, 3)) > 5).all()


def test_sizes_and_names(suite: Suite) -> None:
    assert [len(build(None)) for build in (suite.train, suite.val)] == [400, 60]
    assert len(suite.shifts[0].build(None)) == 100
    assert suite.class_names == CLASSES
    assert [finding.ok for finding in suite.verify(None)] == [True]


def test_nothing_is_rendered_before_it_is_needed(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(number: int) -> None:
        raise AssertionError(f"scene {number} was rendered")

    monkeypatch.setattr(scenes, "pixels", refuse)
    sets = [suite.train(None), suite.val(None), *(shift.build(None) for shift in suite.shifts)]
    with pytest.raises(AssertionError, match="scene 1000"):
        sets[1].fetch(torch.arange(1))


def test_training_sees_random_windows_and_whole_scenes_where_nothing_may_be_random(suite: Suite) -> None:
    assert suite.train_transform is not None
    assert suite.fixed_transform is not None
    data, index = suite.train(None), torch.tensor([5, 2])
    assert data.per_pixel
    assert torch.equal(data.transformed(suite.fixed_transform).fetch(index), data.fetch(index))
    first, again, other = (
        data.transformed(suite.train_transform(EvalTransform(), seed)).fetch(index) for seed in (1, 1, 2)
    )
    assert first.shape == (2, 4, *CROP)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_labels_survive_the_alpha_channel(suite: Suite) -> None:
    """A view gets the label map as alpha, untouched, and the colors of the picture."""
    data, seen = suite.train(None), []

    def record(pair: Image.Image, number: int) -> object:
        seen.append((pair.mode, number))
        return torch.tensor(list(pair.tobytes()), dtype=torch.uint8).view(96, 192, 4).numpy()

    assert torch.equal(data.transformed(record).fetch(torch.tensor([3])), data.fetch(torch.tensor([3])))
    assert seen == [("RGBA", 3)]


def test_colors_are_jittered_and_hues_barely(suite: Suite) -> None:
    assert suite.augment is not None
    gray = torch.full((32, 3, 4, 4), 0.5)
    got = suite.augment(gray, torch.Generator().manual_seed(0))
    assert got.shape == gray.shape
    assert (got.amax(1) - got.amin(1)).max() < 1e-6  # gray has no hue to turn
    assert got.mean((1, 2, 3)).std() > 0.05
    red = torch.tensor([0.5, 0.3, 0.3]).view(1, 3, 1, 1).expand(32, 3, 4, 4)
    turned = suite.augment(red, torch.Generator().manual_seed(0))[:, :, 0, 0]
    hues = torch.tensor([(colorsys.rgb_to_hsv(*rgb)[0] + 0.5) % 1 - 0.5 for rgb in turned.tolist()])
    assert hues.abs().max() < 0.02 + 1e-5  # of the circle; in float32
    assert hues.abs().max() > 0.01
