"""Work that lacks memory: once more as it is, or with half as many images at a time."""

from collections.abc import Callable

import pytest
import torch

from flatqat.bench.cell.halving import Sizes, again


def fits(most: int, tried: list[int]) -> Callable[[int], int]:
    """Work that goes through with at most so many images at a time."""

    def work(size: int) -> int:
        tried.append(size)
        if size > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return size

    return work


def test_a_size_is_halved_until_it_goes_through_and_kept_for_its_kind():
    sizes, tried, said = Sizes(), [], []
    assert sizes.halved(fits(30, tried), "flatness", 100, said.append) == 25
    assert sizes.halved(fits(30, tried), "flatness", 100, said.append) == 25
    assert sizes.halved(fits(100, tried), "scoring", 100, said.append) == 100
    assert tried == [100, 50, 25, 25, 100]
    assert said == [
        "out of memory; trying again with 50 images at a time: flatness",
        "out of memory; trying again with 25 images at a time: flatness",
    ]
    assert (sizes.most("flatness", 100), sizes.most("flatness", 8), sizes.most("other", 7)) == (25, 8, 7)


def test_what_lacks_memory_for_one_image_fails_and_the_next_begins_with_as_many_as_usual():
    sizes, tried = Sizes(), []
    with pytest.raises(torch.OutOfMemoryError):
        sizes.halved(fits(0, tried), "flatness", 5, lambda text: None)
    assert tried == [5, 2, 1]
    assert sizes.most("flatness", 5) == 5


def test_other_errors_are_not_tried_again():
    calls = []

    def work(*size: int) -> None:
        calls.append(size)
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes"):
        Sizes().halved(work, "flatness", 8, calls.append)
    with pytest.raises(RuntimeError, match="shapes"):
        again(work, "train", calls.append)
    assert calls == [(8,), ()]


def test_what_held_memory_is_free_when_it_is_tried_again():
    """The first attempt's tensors hang on the frames of its error, and on each other."""
    alive = []

    class Big:
        def __del__(self) -> None:
            alive.remove(self.name)

        def __init__(self, name: int) -> None:
            self.name, self.itself = name, self
            alive.append(name)

    def work() -> int:
        left = len(alive)
        big = Big(left)
        if not left and big.name == 0 and not done:
            done.append(1)
            raise MemoryError
        return left

    done: list[int] = []
    assert again(work, "train", lambda text: None) == 0
