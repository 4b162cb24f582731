"""The cells of a section, one by one: how each was made as text, its numbers for the script of the page."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flatqat.bench.records.sections import Section, method_of
from flatqat.bench.report.html.data import plain
from flatqat.bench.report.made import made
from flatqat.console.printable import printable
from flatqat.spec import Record
from flatqat.spec.reading import to_plain

METRICS = ("top1", "miou", "nll", "ece")


@dataclass(slots=True)
class Pool:
    """Values that many cells share, each kept once."""

    values: list[Any] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)

    def add(self, value: Any) -> int:
        """Return the place of a value."""
        place = self.places.setdefault(json.dumps(value), len(self.values))
        if place == len(self.values):
            self.values.append(value)
        return place


@dataclass(frozen=True, slots=True, kw_only=True)
class CellBlock:
    """What a drawer of the page has to say even without a script: the cell, and the command that makes it."""

    label: str
    method: str
    bits: str
    command: str


def cells_of(
    section: Section, every: Sequence[Record], folder: str, pool: Pool
) -> tuple[list[CellBlock], list[dict[str, Any]]]:
    """Return all finished cells of a section, and what the script puts into their drawers.

    That is what `flatqat results show` prints, but for what all cells have in common and stands above.
    """
    blocks, numbers = [], []
    for record in (record for row in section.rows.values() for record in row):
        _, *lines, (_, command) = made(record, every, folder)
        blocks.append(
            CellBlock(
                label=printable(record.cell.label),
                method=printable(method_of(record.cell)),
                bits=printable(record.cell.bits),
                command=printable(command),
            )
        )
        lines.append(("environment", _environment(record)))
        numbers.append({"lines": [pool.add(_short(line)) for line in lines], **_numbers(record, pool)})
    return blocks, numbers


def _numbers(record: Record, pool: Pool) -> dict[str, Any]:
    """Return scores in hundredths, and flatness, cost and training."""
    metrics = [name for name in METRICS if name in record.scores["id"]]
    sets = [[shift, scores[metrics[0]].n] for shift, scores in record.scores.items()]
    values = {name: record.columns.values_of(name, _with(record, name)) for name in metrics}
    parts = {
        "method": dict(record.protocol.method),
        "flatness": record.flatness.to_dict(),
        **({"cost": record.cost.to_dict()} if record.cost else {}),
        **({"deployed": record.deployed.to_dict()} if record.deployed else {}),
        **{f"deployed in {name}": found.to_dict() for name, found in record.elsewhere.items()},
        "train": record.train.to_dict(),
    }
    return {
        "sets": pool.add(_short(sets)),
        "scores": {
            name: [None if v is None else round(100 * v) for v in column] for name, column in values.items()
        },
        "parts": {name: pool.add(_short(to_plain(part))) for name, part in parts.items()},
    }


def _with(record: Record, metric: str) -> list[str]:
    return [shift for shift, scores in record.columns.metrics.items() if metric in scores]


def _environment(record: Record) -> str:
    """Return where a cell was scored, and where else it was computed."""
    places = []
    for env in record.environments:
        values: Mapping[str, Any] = env.to_dict()
        flat = {**{k: v for k, v in values.items() if k != "packages"}, **values["packages"]}
        places.append(", ".join(f"{name} {value}" for name, value in flat.items() if value not in (None, "")))
    return "; also on ".join(places)


def _short(value: Any) -> Any:
    """Return JSON values with numbers as short as those of tables."""
    if isinstance(value, Mapping):
        return {printable(str(key)): _short(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_short(each) for each in value]
    return plain(value)
