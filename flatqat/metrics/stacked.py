"""What every image of one run gives, by shift, in few arrays: one for all shifts of equally many images."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

NO_IDS: Mapping[str, NDArray[Any]] = {}


class Stacked(Mapping[str, NDArray[Any]]):
    """An array (images, ...) for each shift, as a row of an array (shifts, images, ...).

    `ids` (images,) say by shift which images these are, where that is not the same for all runs and known.
    """

    __slots__ = ("_places", "ids", "stacks")

    def __init__(
        self,
        stacks: Sequence[tuple[Sequence[str], NDArray[Any]]],
        ids: Mapping[str, NDArray[Any]] = NO_IDS,
    ) -> None:
        """Hold arrays (shifts, images, ...), each with the names of its shifts."""
        self.stacks, self.ids = stacks, ids
        self._places = _places(tuple(tuple(shifts) for shifts, _ in stacks))

    def __getitem__(self, shift: str) -> NDArray[Any]:
        """Return the array (images, ...) of a shift, which shares its memory with all others."""
        number, row = self._places[shift]
        array: NDArray[Any] = self.stacks[number][1][row]
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], ids: Mapping[str, NDArray[Any]] = NO_IDS) -> "Stacked":
        """Return any arrays (images, ...) by shift as few arrays, which are copies."""
        groups: dict[tuple[int, ...], list[str]] = {}
        for shift, array in arrays.items():
            groups.setdefault(array.shape, []).append(shift)
        return cls([(shifts, np.stack([arrays[s] for s in shifts])) for shifts in groups.values()], ids)

    @property
    def sizes(self) -> dict[str, int]:
        """The number of images of each shift."""
        return {shift: array.shape[1] for shifts, array in self.stacks for shift in shifts}

    def mapped(self, values: Callable[[NDArray[Any]], NDArray[Any]]) -> "Stacked":
        """Return what a function makes of the array of each shift; the images may not change in number."""
        if values is np.asarray:
            return self
        mapped = [(shifts, np.stack([*map(values, array)])) for shifts, array in self.stacks]
        return Stacked(mapped, self.ids)

    def rows(self, shifts: Sequence[str]) -> NDArray[Any] | None:
        """Return the arrays of some shifts as one, (shifts, images, ...), or None if there are several."""
        numbers, places = zip(*map(self._places.__getitem__, shifts), strict=True)
        if len(set(numbers)) > 1:
            return None
        rows: NDArray[Any] = self.stacks[numbers[0]][1][list(places)]
        return rows


@lru_cache(maxsize=64)
def _places(groups: tuple[tuple[str, ...], ...]) -> dict[str, tuple[int, int]]:
    """Return for each shift the number of its group and its row in it."""
    return {shift: (number, row) for number, shifts in enumerate(groups) for row, shift in enumerate(shifts)}


def together(runs: Sequence[Mapping[str, NDArray[Any]]]) -> Stacked:
    """Return the arrays of several runs by shift, (runs, images, ...). Raises ValueError if images differ."""
    stacked = [run if isinstance(run, Stacked) else Stacked.of(run) for run in runs]
    first = [(shifts, array.shape) for shifts, array in stacked[0].stacks]
    if any([(shifts, array.shape) for shifts, array in run.stacks] != first for run in stacked):
        return Stacked.of({shift: _stack(shift, [run[shift] for run in stacked]) for shift in stacked[0]})
    return Stacked(
        [
            (shifts, np.stack([run.stacks[number][1] for run in stacked], axis=1))
            for number, (shifts, _) in enumerate(first)
        ]
    )


def _stack(shift: str, arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    sizes = {len(array) for array in arrays}
    if len(sizes) > 1:
        raise ValueError(f"{shift}: expected the same images in every run, got {sorted(sizes)}")
    return np.stack(arrays)
