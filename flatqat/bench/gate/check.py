"""The gate for CI: has accuracy dropped by more than a tolerance, and by more than chance?

A baseline has what the metric needs of every image, so the gate compares image by image: one shift by an
exact McNemar test, or by a paired t-test of the values whose mean is the metric (pseudo-values of mIoU), a
mean over shifts by a z-test of per-image means. It trips if a drop is both large and significant, with p
adjusted by Holm over all comparisons.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flatqat.bench.gate.baseline import BaselineCell, read_baseline
from flatqat.bench.records.files import Arrays
from flatqat.bench.records.paired import outcomes_of
from flatqat.bench.records.store import Store
from flatqat.metrics.missing import mean_if_complete
from flatqat.metrics.significance import holm, paired_difference, pooled_difference
from flatqat.spec import ShiftInfo

OK, REGRESSED, INCOMPLETE, IMPROVED = 0, 1, 3, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One comparison of the metric in percent: `ok`, `regressed`, `improved` or `missing`.

    `what` is `id`, `ood`, a family of shifts, or why nothing could be compared; `p` is Holm's.
    """

    cell: str
    what: str
    before: float
    now: float
    p: float
    verdict: str


def check(
    store: Store, baseline: Path, max_drop: float, p: float, two_sided: bool
) -> tuple[int, list[Verdict]]:
    """Compare a results folder with a baseline; returns the exit code and every comparison.

    The code is 0 if all is fine; 1 if one regressed, by more than `max_drop` points with an adjusted p below
    `p`; 3 if a cell of the baseline is missing, failed, has other images or a single one, or its metric is
    undefined (no pixel of a shift is labeled); 4 with `two_sided` if one improved by as much.
    """
    cells = read_baseline(baseline)
    done = {r.cell.id: r for r in store.records() if r.status == "done"}
    compared: list[tuple[str, str, float, float, float]] = []
    verdicts: list[Verdict] = []
    for cell_id, old in sorted(cells.items(), key=lambda item: item[1].label):
        now = outcomes_of(done[cell_id], store) if cell_id in done else {}
        if what := _lacking(old, now):
            verdicts.append(_missing(old.label, what))
            continue
        new = {s: old.metric.values(images) for s, images in now.items()}
        for row in _compare(old.shifts, old.values, new):
            if np.isfinite(row[1:]).all():
                compared.append((old.label, *row))
            else:
                verdicts.append(_missing(old.label, f"{row[0]}: undefined"))
    p_values = holm([tested[-1] for tested in compared]) if compared else []
    for (cell, what, before, after, _), adjusted in zip(compared, p_values, strict=True):
        verdict = _judge(after - before, adjusted, max_drop, p)
        verdicts.append(Verdict(cell=cell, what=what, before=before, now=after, p=adjusted, verdict=verdict))
    results = {v.verdict for v in verdicts}
    if "regressed" in results:
        return REGRESSED, verdicts
    if "missing" in results or not compared:
        return INCOMPLETE, verdicts
    return (IMPROVED if two_sided and "improved" in results else OK), verdicts


def _compare(
    shifts: Mapping[str, ShiftInfo], old: Arrays, new: Arrays
) -> list[tuple[str, float, float, float]]:
    """Return (what, metric before, metric now, p) of ID, the mean over shifts, and each family."""
    rows = [("id", _mean(old, ["id"]), _mean(new, ["id"]), paired_difference(new["id"], old["id"]).p)]
    in_mean = [s for s, info in shifts.items() if info.in_mean and s != "id"]
    families = {"ood": in_mean} if in_mean else {}
    for shift in in_mean:
        families.setdefault(shifts[shift].family, []).append(shift)
    for what, members in families.items():
        image_sets: dict[str, NDArray[np.float64]] = {}
        for s in members:
            share = (new[s].astype(float) - old[s]) / len(members)
            image_sets[shifts[s].image_set] = image_sets.get(shifts[s].image_set, 0.0) + share
        p = pooled_difference(list(image_sets.values())).p
        rows.append((what, _mean(old, members), _mean(new, members), p))
    return rows


def _lacking(old: BaselineCell, now: Arrays) -> str:
    """Return why a cell of the baseline cannot be compared; empty if it can."""
    if {s: len(v) for s, v in now.items()} != old.images:
        return "other images" if now else "not measured"
    compared = [n for s, n in old.images.items() if s == "id" or old.shifts[s].in_mean]
    return "a single image" if min(compared) < 2 else ""


def _missing(cell: str, what: str) -> Verdict:
    return Verdict(cell=cell, what=what, before=np.nan, now=np.nan, p=np.nan, verdict="missing")


def _judge(change: float, p: float, max_drop: float, level: float) -> str:
    if p >= level or abs(round(change, 9)) <= max_drop:  # two percentages carry noise in their last digits
        return "ok"
    return "regressed" if change < 0 else "improved"


def _mean(values: Arrays, shifts: list[str]) -> float:
    mean = mean_if_complete(float(values[s].mean()) for s in shifts).value
    return nan if mean is None else 100 * mean
