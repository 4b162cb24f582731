"""What is kept of a cell. Standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from flatqat.spec.cell import Cell

SCHEMA = 2
Status = Literal["done", "failed", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One measured number: its value, the number of images behind it, and its standard error if known."""

    value: float | None
    n: int
    stderr: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is kept of a cell: `scores[shift][metric]`, flatness, training, protocol and environment."""

    cell: Cell
    status: Status
    reason: str = ""
    scores: Mapping[str, Mapping[str, Score]] = field(default_factory=dict)
    flatness: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    protocol: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA
