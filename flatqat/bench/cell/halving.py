"""Work that lacks memory is done again: as it is once memory is freed, or in pieces of half the size."""

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

from flatqat.errors import counted
from flatqat.memory import out_of_memory

T = TypeVar("T")
Say = Callable[[str], None]


def again(work: Callable[[], T], title: str, say: Say) -> T:
    """Return `work()`; if it lacks memory, free what can be freed and try once more."""
    try:
        return work()
    except Exception as error:
        if not out_of_memory(error):
            raise
    # not within `except`: there the error still holds all that was in memory when it was raised
    free_memory()
    say(f"out of memory; trying again: {title}")
    return work()


class Sizes:
    """How many images at a time memory has allowed in this process, by the kind of work."""

    def __init__(self) -> None:
        self._most: dict[str, int] = {}

    def most(self, kind: str, usual: int) -> int:
        """Return how many images at a time a kind of work takes: `usual`, or fewer if memory once lacked."""
        return min(usual, self._most.get(kind, usual))

    def halved(self, work: Callable[[int], T], kind: str, usual: int, say: Say) -> T:
        """Return `work(size)`; while it lacks memory, try with half as many images at a time, down to one.

        A size that went through is kept for what follows of this kind. One that did not is not: the next cell
        may need less.
        """
        size = self.most(kind, usual)
        while True:
            try:
                done = work(size)
            except Exception as error:
                if size <= 1 or not out_of_memory(error):
                    raise
            else:
                if size < usual:
                    self._most[kind] = size
                return done
            free_memory()
            size //= 2
            say(f"out of memory; trying again with {counted(size, 'image')} at a time: {kind}")


def free_memory() -> None:
    """Free what is in cycles, and what torch keeps of a GPU for later."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
