"""What every suite has to keep."""

import torch
from torch import Tensor

from flatqat.metrics.measures import METRICS
from flatqat.spec import IGNORED
from flatqat.suite import Suite


def suite_starts_with_id(suite: Suite) -> None:
    """The first shift is `id`, names are unique, there is a recipe, and the metric is one of flatqat's."""
    names = [shift.name for shift in suite.shifts]
    assert names[0] == "id", f"expected 'id' first, got {names[0]!r}"
    assert len(set(names)) == len(names), "expected unique names of shifts, got some twice"
    assert suite.recipes, "expected at least one recipe, got none"
    assert suite.metric in METRICS, f"expected a metric among {sorted(METRICS)}, got {suite.metric!r}"


def suite_data_is_consistent(suite: Suite) -> None:
    """Labels are in range, one pool shows the same labels in the same order, two builds are equal."""
    wrong = [finding.what for finding in suite.verify(None) if not finding.ok]
    assert not wrong, f"expected data without --data-root, or set FLATQAT_DATA_ROOT; {wrong[0]}"
    pools: dict[str, Tensor] = {}
    for shift in suite.shifts:
        data, again = shift.build(None).sample(8), shift.build(None).sample(8)
        images, labels = data.batch(torch.arange(len(data)))
        assert torch.equal(images, again.batch(torch.arange(len(again)))[0]), (
            f"{shift.name}: two builds differ"
        )
        known = labels[labels != IGNORED] if data.per_pixel else labels
        assert 0 <= int(known.min()) <= int(known.max()) < suite.classes, f"{shift.name}: labels out of range"
        first = pools.setdefault(shift.image_set, labels)
        assert torch.equal(first, labels), f"{shift.name}: expected the labels of pool {shift.image_set!r}"


def suite_members_are_those_of_its_targets(suite: Suite) -> None:
    """A family has a member a target, called `family@target`, and says where seeds split its data anew."""
    assert bool(suite.targets) == (suite.member is not None), "expected targets and member together, got one"
    if suite.member is None:
        return
    for target in suite.targets:
        first, second = (suite.member(target, seed) for seed in (0, 1))
        expected = f"{suite.name}@{target}"
        assert first.name == expected, f"expected a member called {expected!r}, got {first.name!r}"
        assert first.targets == suite.targets, f"{expected}: expected the targets of its family"
        assert (first.split != second.split) == bool(first.split), (
            f"{expected}: expected a split that differs from seed to seed or is empty, got {first.split!r}"
        )


CHECKS = [suite_starts_with_id, suite_data_is_consistent, suite_members_are_those_of_its_targets]
