"""Progress as plain lines: the time left, and what failed and will be done again."""

from itertools import count

import pytest

from flatqat.console import progress
from flatqat.console.progress import PlainProgress, taken_back_on_error


@pytest.fixture
def said(monkeypatch):
    """Lines of a progress whose clock moves by 20 seconds with every look at it."""
    clock = count(0, 20)
    monkeypatch.setattr(progress, "monotonic", lambda: float(next(clock)))
    return []


def test_the_time_left_is_that_of_the_steps_which_are_not_done(said):
    with PlainProgress(said.append).task("train", 4) as advance:
        advance(1)
        advance(1)
    assert said == ["train: 1/4, about 1 min 0 s left", "train: 2/4, about 40 s left", "train: 1 min 0 s"]


def test_what_is_taken_back_hides_no_error_and_has_no_time_left(said):
    """The error decides what is tried next: out of memory is tried with fewer images."""

    def fail(advance):
        with taken_back_on_error(advance) as counted:
            counted(1)
            raise MemoryError

    with PlainProgress(said.append).task("flatness", 4) as advance:
        with pytest.raises(MemoryError):
            fail(advance)
        advance(0)
        advance(2)
    assert said[0] == "flatness: 1/4, about 1 min 0 s left"
    assert said[1].startswith("flatness: 2/4, about ")
    assert len(said) == 3
