"""The file that the gate compares with: every finished cell, where it was computed, and its images.

Of each image it has what the metric needs, see `packing`. Schemas 1 and 2 have labels instead of cells, and
neither environment nor weights.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from flatqat.bench.gate.lines import cell_line, lines_of, with_lines
from flatqat.bench.gate.packing import FORM, Unpacker, pack, unpacked
from flatqat.bench.gate.run import Run
from flatqat.bench.gate.series import newest
from flatqat.bench.gate.weights import weights_digest
from flatqat.bench.records.files import read_bytes, write_output
from flatqat.bench.records.named import results_option
from flatqat.bench.records.paired import draws_images, outcomes_of
from flatqat.bench.records.record_json import parse_json, pop_schema, read_as
from flatqat.bench.records.schema_1 import upgrade_shifts
from flatqat.bench.records.store import Store
from flatqat.errors import StoreError
from flatqat.metrics.metric import METRICS
from flatqat.metrics.stacked import Stacked
from flatqat.spec import Cell, Environment, FieldError, Record, ShiftInfo, Stored
from flatqat.spec.reading import from_plain
from flatqat.spec.shared import SHARED

BASELINE_SCHEMA = 3
FIX = "check the path, or make a baseline with: flatqat bench baseline --results DIR --output FILE"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedCell(Stored):
    """A cell as the file has it.

    Attributes:
        shifts: The scored sets by name.
        images: The number of images of each.
        label: The cell's label, in schemas without `cell`.
        cell: The cell.
        env: Where `id` was scored, and what is not named below was done.
        env_of_training: Where it was trained, if not there.
        other_envs: Where else sets were scored.
        data: The fingerprint of the data on disk.
        weights: The digest of the weights, if they were stored.
        nested: Whether every seed draws its own images.
        metric: The suite's metric.
        correct: The images of each set in text, for top-1.
        counts: The same for mIoU.
    """

    shifts: Annotated[Mapping[str, ShiftInfo], SHARED]
    images: Annotated[Mapping[str, int], SHARED]
    label: str = ""
    cell: Cell | None = None
    env: Annotated[Environment | None, SHARED] = None
    env_of_training: Annotated[Environment | None, SHARED] = None
    other_envs: tuple[Annotated[Environment, SHARED], ...] = ()
    data: str = ""
    weights: str | None = None
    nested: bool = False
    metric: str = "top1"
    correct: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineCell:
    """A cell of a baseline: `packed` has no outcomes, `kept` the bits or else the values of each image."""

    packed: PackedCell
    kept: Stacked

    @property
    def values(self) -> Stacked:
        """The value of each image by shift, made of what is kept in an eighth of the memory."""
        if FORM[self.packed.metric] != "correct":
            return self.kept
        images = self.packed.images
        return Stacked([(shifts, unpacked(bits, images[shifts[0]])) for shifts, bits in self.kept.stacks])

    @property
    def label(self) -> str:
        """A short name for people."""
        return self.packed.cell.label if self.packed.cell else self.packed.label

    def as_run(self, cell: Cell, *, identified: bool = True) -> Run:
        """Return the run of the cell, which is its own if it is `identified`."""
        packed = self.packed
        return Run(
            cell=cell,
            values=lambda: self.values,
            weights=lambda: packed.weights,
            shifts=packed.shifts,
            metric=METRICS[packed.metric],
            data=packed.data,
            nested=packed.nested,
            scored_in=[*filter(None, [packed.env]), *packed.other_envs],
            trained_in=[*filter(None, [packed.env_of_training or packed.env])],
            identified=identified,
        )


def write_baseline(
    store: Store, output: Path, of: Sequence[Record] | None = None
) -> tuple[int, list[Record]]:
    """Store every finished cell of a results folder as a baseline; returns how many, and the other records.

    `of` has the records that it is about, by default all of the folder. Of several revisions of a cell the
    newest is stored. Raises StoreError.
    """
    cells: dict[str, bytes] = {}
    others, line = [], cell_line()
    records = {record.cell.id: record for record in (store.records() if of is None else of)}
    for run in newest([Run.of(record, store) for record in records.values()]):
        record = records[run.cell.id]
        outcomes = {} if run.reason else outcomes_of(record, store)
        if not outcomes:
            others.append(record)
            continue
        packed = PackedCell(
            shifts=record.protocol.shifts,
            images={shift: len(images) for shift, images in outcomes.items()},
            cell=record.cell,
            env=record.env,
            env_of_training=record.train.env,
            other_envs=tuple(record.scored_in[1:]),
            data=record.protocol.data,
            weights=weights_digest(record, store),
            nested=draws_images(record),
            metric=record.protocol.metric,
            **pack(record.protocol.metric, outcomes),
        )
        cells[record.cell.id] = line(packed)
    if not cells:
        make = f"make some with: flatqat bench run{results_option(store.root)}"
        raise StoreError(f"expected finished cells with outcomes in {store.root}, got none; {make}")
    write_output(output, *with_lines(cells, BASELINE_SCHEMA))
    return len(cells), others


def read_baseline(path: Path) -> dict[str, BaselineCell]:
    """Return the cells of a baseline by id. Raises StoreError, which names the file and the field."""
    text = read_bytes(path, FIX)
    with suppress(ValueError, RecursionError):  # of another layout, or damaged: parsing all says where
        schema, lines = lines_of(text)
        if schema == BASELINE_SCHEMA:
            return _unpacked(lines, schema, path)
    data = parse_json(text, path, FIX)
    schema = pop_schema(data, BASELINE_SCHEMA, path, FIX)
    cells = data.get("cells")
    if schema == 1 and isinstance(cells, dict):
        data["cells"] = {cell_id: _upgraded(cell) for cell_id, cell in cells.items()}
    read: dict[str, dict[str, PackedCell]] = read_as(FILE, data, path, FIX)
    if not read.get("cells"):
        raise StoreError(f"{path}: cells: expected one or more, got none; {FIX}")
    return _unpacked(read["cells"].items(), schema, path)


def _unpacked(cells: Iterable[tuple[str, Any]], schema: int, path: Path) -> dict[str, BaselineCell]:
    """Return cells, as JSON has them or already read, by id."""
    unpacker, found = Unpacker(), {}
    for cell_id, plain in cells:
        try:
            packed = plain if isinstance(plain, PackedCell) else from_plain(PackedCell, plain)
            _check(cell_id, packed, schema)
            kept = _kept(packed, unpacker)
        except FieldError as error:
            raise StoreError(f"{path}: {error.under(cell_id).under('cells')}; {FIX}") from error
        found[cell_id] = BaselineCell(packed=replace(packed, correct={}, counts={}), kept=kept)
    return found


FILE: Any = Mapping[str, Mapping[str, PackedCell]]


def _upgraded(cell: Any) -> Any:
    if not isinstance(cell, dict) or "shifts" not in cell:
        return cell
    return {**cell, "shifts": upgrade_shifts(cell["shifts"])}


def _check(cell_id: str, packed: PackedCell, schema: int) -> None:
    """Raise FieldError unless the fields of a cell fit together."""
    if packed.metric not in METRICS:
        raise FieldError(f"expected one of {', '.join(METRICS)}, got {packed.metric!r}", ("metric",))
    if schema < BASELINE_SCHEMA and not packed.label:
        raise FieldError("expected a text, got none", ("label",))
    if schema == BASELINE_SCHEMA and (packed.cell is None or packed.cell.id != cell_id):
        got = packed.cell and packed.cell.id
        raise FieldError(f"expected the cell of this id, got {got or 'none'}", ("cell",))
    if "id" not in packed.shifts:
        raise FieldError("expected id among the shifts, got none", ("shifts",))
    for name in ("images", FORM[packed.metric]):
        if odd := sorted(set(packed.shifts) ^ set(getattr(packed, name))):
            raise FieldError(f"expected one for each shift; see {odd[0]}", (name,))


def _kept(packed: PackedCell, unpacker: Unpacker) -> Stacked:
    """Return what is kept of the outcomes, equally many images as one array. Raises FieldError on damage."""
    name, values = FORM[packed.metric], METRICS[packed.metric].values
    groups: dict[int, dict[str, NDArray[Any]]] = {}
    for shift, text in getattr(packed, name).items():
        images = packed.images[shift]
        try:
            kept = unpacker.bits(text, images) if name == "correct" else values(unpacker.counts(text, images))
        except FieldError as error:
            raise error.under(shift).under(name) from error
        groups.setdefault(images, {})[shift] = kept
    return Stacked([([*group], np.stack([*group.values()])) for group in groups.values()])
