"""The series of a baseline.

Old baselines have labels and ids instead of cells. The results say what these stand for.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from flatqat.bench.gate.baseline import BaselineCell
from flatqat.bench.gate.run import Run
from flatqat.bench.gate.series import Series, series_of
from flatqat.spec import Cell

LABEL = re.compile(r"(?P<stem>.+)-s(?P<seed>[0-9]{1,18})-[0-9a-f]{12}")


def baseline_series(
    stored: Mapping[str, BaselineCell], now: Sequence[Series]
) -> tuple[list[Series], list[str]]:
    """Return the series of a baseline, and the labels of cells that are unlike all of the results.

    A cell known by its label alone is the one of the results with its id. Otherwise it takes the cell of the
    only series that has the rest of its label and its shifts, and that no id belongs to.
    """
    by_id = {run.cell.id: run.cell for series in now for run in series.runs}
    known = {cell_id for cell_id in stored if cell_id in by_id}
    free = [series for series in now if not any(run.cell.id in known for run in series.runs)]
    runs: list[Run] = []
    unknown: list[str] = []
    for cell_id, cell in stored.items():
        if own := cell.packed.cell or by_id.get(cell_id):
            runs.append(cell.as_run(own))
        elif (role := _role(cell, free)) is not None:
            runs.append(cell.as_run(role, identified=False))
        else:
            unknown.append(cell.label)
    return series_of(runs), sorted(unknown)


def _role(stored: BaselineCell, series: Sequence[Series]) -> Cell | None:
    """Return the cell of the only series that may be that of a stored cell, under its seed."""
    label = LABEL.fullmatch(stored.label)
    candidates = [
        run.cell
        for one in series
        for run in one.runs[:1]
        if label and _stem(run.cell) == label["stem"] and (run.reason or run.shifts == stored.packed.shifts)
    ]
    if label is None or len(candidates) != 1:
        return None
    return replace(candidates[0], seed=int(label["seed"]), parent=None)


def _stem(cell: Cell) -> str:
    return cell.label.removesuffix(f"-s{cell.seed}-{cell.id}")
