"""The disorder of gradients by hand, and of random signs."""

import pytest
import torch

from flatqat.methods.disorder import Disorder


def slopes(text: str) -> list[list[list[torch.Tensor]]]:
    """`+- ++` is a slope of one unit above 0, then below; a step a column, a unit a word of one element."""
    value = {"+": 0.2, "-": -0.1, "0": 0.0}
    return [[[torch.tensor([value[c]])] for c in step] for step in zip(*text.split(), strict=True)]


@pytest.mark.parametrize(
    ("window", "text", "expected"),
    [
        (2, "+- ++", [1, 0]),
        (5, "+-+-+ +++-- +++++", [1, 0.25, 0]),
        (3, "+++-+ -+-++", [1, 0.5]),  # the last three only
        (3, "+0+ 000", [1, 0]),  # no sign is a sign of its own
    ],
)
def test_disorder_of_sequences_by_hand(window, text, expected):
    for kind in ("task", "smooth"):
        seen = Disorder(kind, window)
        for step in slopes(text):
            other = [[-part for part in unit] for unit in slopes(text)[0]]  # the other gradient plays no part
            seen.add(*((step, other) if kind == "task" else (other, step)))
        assert seen.values.tolist() == expected


def test_conflict_by_hand():
    seen = Disorder("conflict", 4)
    for task, smooth in zip(slopes("+-+- ++++"), slopes("++++ ++++"), strict=True):
        assert seen.values is None
        seen.add(task, smooth)
    assert seen.values.tolist() == [0.5, 0]


def test_disorder_waits_for_a_full_window_and_is_the_mean_over_elements():
    seen = Disorder("task", 3)
    for step in ([1.0, 1.0, 1.0, 1.0], [-1.0, 1.0, 1.0, 1.0], [1.0, -1.0, 1.0, 1.0]):
        assert seen.values is None
        seen.add([[torch.tensor(step[:1]), torch.tensor(step[1:])]], [])
    assert seen.values.tolist() == [0.375]  # a quarter, then a half


def test_signs_drawn_at_random_have_a_disorder_of_one_half():
    generator = torch.Generator().manual_seed(0)
    for kind in ("task", "smooth", "conflict"):
        seen = Disorder(kind, 2000)
        for _ in range(2000):
            task, smooth = torch.randn(2, 1, generator=generator)
            seen.add([[task]], [[smooth]])
        assert abs(seen.values.item() - 0.5) < 4 * 0.5 / 2000**0.5  # four standard errors
