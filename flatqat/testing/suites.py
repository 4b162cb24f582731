"""Checks that every suite has to pass, on the data in a folder; `Suite` itself checks what needs no data."""

from pathlib import Path

import torch
from torch import Tensor

from flatqat.data.tensors.image_data import ImageData
from flatqat.spec import IGNORED
from flatqat.suite import Shift, Suite

COMPARED = 8  # images of a set with those of another


def suite_data_is_consistent(suite: Suite, root: Path | None = None) -> None:
    """Labels are in range, the same image set has the same labels, and building twice gives equal data."""
    problems = [finding.what for finding in suite.findings(root) if not finding.ok]
    where = f"complete data in {root}" if root else "data without --data-root; pass it if there is some"
    assert not problems, f"expected {where}, got: {problems[0]}"
    labels_of: dict[str, Tensor] = {}
    train = Shift(name="train", family="train", build=suite.train, image_set="train")
    for shift in (train, *suite.scored):
        name, data, again = shift.name, shift.build(root).sample(8), shift.build(root).sample(8)
        images, labels = data.batch(torch.arange(len(data)))
        equal = torch.equal(images, again.batch(torch.arange(len(again)))[0])
        assert equal, f"{name}: expected equal data when built twice, got a difference"
        valid = labels[labels != IGNORED] if data.per_pixel else labels
        classes = len(shift.groups) if shift.groups else suite.classes
        in_range = 0 <= int(valid.min()) <= int(valid.max()) < classes
        assert in_range, f"{name}: expected labels from 0 to {classes - 1}, got others"
        first = labels_of.setdefault(shift.image_set, labels)
        assert torch.equal(first, labels), f"{name}: expected the labels of image set {shift.image_set!r}"


def suite_members_are_those_of_its_targets(suite: Suite, root: Path | None = None) -> None:
    """A family has one suite per target, called `family@target`, and names splits that depend on the seed."""
    assert bool(suite.targets) == (suite.member is not None), "expected targets and member together, got one"
    if suite.member is None:
        return
    for target in suite.targets:
        first, second = (suite.member(target, seed) for seed in (0, 1))
        expected = f"{suite.name}@{target}"
        assert first.name == expected, f"expected a member called {expected!r}, got {first.name!r}"
        assert first.targets == suite.targets, f"{expected}: expected the targets of its family"
        allowed = "expected a split that is empty or differs between seeds"
        assert (first.split != second.split) == bool(first.split), (
            f"{expected}: {allowed}, got {first.split!r}"
        )


def suite_ids_stand_for_images(suite: Suite, root: Path | None = None) -> None:
    """Where the seed draws images, an id is one image in all sets, with all seeds and domains left out."""
    if suite.member is None or not suite.member(suite.targets[0], 0).split:
        return
    first: dict[int, tuple[ImageData, int]] = {}
    for member in (suite.member(target, seed) for target in suite.targets for seed in (0, 1)):
        sets: dict[str, Shift] = {}
        for shift in member.shifts:
            sets.setdefault(shift.image_set, shift)  # others may show the same images in another way
        for shift in sets.values():
            data = shift.build(root)
            places = {image: place for place, image in enumerate(data.ids.tolist())}
            expected = f"{member.name}, {shift.name}: expected that an id stands for one image everywhere"
            assert len(places) == len(data), f"{expected}, got one twice; see ImageData.ids"
            shared = sorted(places.keys() & first.keys())
            for image in shared[:: max(1, len(shared) // COMPARED)]:
                pair = (data, places[image]), first[image]
                images = [of.batch(torch.tensor([place]))[0] for of, place in pair]
                assert torch.equal(*images), f"{expected}, got another image; see ImageData.ids"
            for image, place in places.items():
                first.setdefault(image, (data, place))


CHECKS = [
    suite_data_is_consistent,
    suite_members_are_those_of_its_targets,
    suite_ids_stand_for_images,
]
