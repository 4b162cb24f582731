"""What a comparison found: differences in points with their intervals, and what could not be compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from flatqat.metrics.estimate import Estimate
from flatqat.metrics.holm import holm


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """B minus A in one quantity, in points of the suite's metric.

    Attributes:
        cell: What is compared: the name of a cell, or of two rows.
        what: `id`, `ood`, a family of shifts or a shift.
        a: The mean over the seeds of A.
        b: The mean over those of B.
        estimate: `b` - `a`, with what seeds and images leave open.
        seeds: The numbers of seeds of A and of B.
        identical: Whether all images have the same outcome in A and B, which leaves nothing open.
    """

    cell: str
    what: str
    a: float
    b: float
    estimate: Estimate
    seeds: tuple[int, int]
    identical: bool = False

    def __post_init__(self) -> None:
        if self.identical:
            known = replace(self.estimate, value=0.0, seed_variance=0.0, image_variance=0.0)
            object.__setattr__(self, "estimate", known)

    @property
    def of_these_runs(self) -> bool:
        """Whether both have one seed: interval and p are then over images, for these two trainings alone."""
        return self.seeds == (1, 1) and not self.identical


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Differences that belong together, under what they have in common.

    Attributes:
        title: Suite, model, recipe and what else all cells share.
        rows: The differences.
        missing: What could not be compared, and why.
        differs: What differs besides the numbers, in words, and in which cells.
    """

    title: str
    rows: Sequence[Difference]
    missing: Sequence[tuple[str, str]]
    differs: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """All differences of two things, which are called A and B."""

    a: str
    b: str
    parts: Sequence[Part]

    @property
    def rows(self) -> list[Difference]:
        """The differences of all parts."""
        return [row for part in self.parts for row in part.rows]

    def p_values(self) -> list[float]:
        """Return the p-value of each row, after Holm's correction over all that are not identical."""
        tested = [row.estimate.p for row in self.rows if not row.identical]
        corrected = iter(holm(tested) if tested else [])
        return [1.0 if row.identical else next(corrected) for row in self.rows]
