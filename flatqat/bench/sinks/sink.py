"""What a tool that draws curves is told: of which training they are, and its numbers step by step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

Row = tuple[int, Mapping[str, float]]
"""A step, and the values after it by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """A training whose curves are drawn.

    Attributes:
        suite: The suite of its cell.
        label: The label of its cell.
        settings: The fields of its cell that are not at their defaults.
        folder: The folder of all curves, for tools that are not told to write elsewhere.
    """

    suite: str
    label: str
    settings: Mapping[str, Any]
    folder: Path


class Sink:
    """Takes the curves of one training; it may raise whatever it likes, which costs only the curves.

    Attributes:
        package: What has to be installed.
    """

    package: ClassVar[str]

    def __init__(self, training: Training) -> None:
        """Open the tool for a training."""

    def scalars(self, rows: Sequence[Row]) -> None:
        """Take the values after some steps; steps never go down."""
        raise NotImplementedError

    def close(self) -> None:
        """Write what was taken."""
        raise NotImplementedError
