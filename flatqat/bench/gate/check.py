"""The gate for CI: has accuracy dropped by more than a tolerance, and by more than chance?

A baseline holds what the metric needs to know of every image, so the gate compares image by image: for one
shift by exact McNemar, or by a paired t-test of the values whose mean is the metric (pseudo-values of mIoU),
for a mean over shifts by a z-test of per-image means. It trips on size and significance together, p adjusted
by Holm over all that is compared.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatqat.bench.gate.baseline import read_baseline
from flatqat.bench.records.paired import outcomes_of
from flatqat.bench.records.store import Arrays, Store
from flatqat.metrics.measures import METRICS
from flatqat.metrics.pooled_z_test import pooled_difference
from flatqat.metrics.significance import holm, paired_difference

OK, REGRESSED, INCOMPLETE, IMPROVED = 0, 1, 3, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One comparison: the metric in the baseline and now, in percent, and what the gate says of it."""

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

    0 fine, 1 regressed (a drop above `max_drop` points with an adjusted p under `p`), 3 a cell of the
    baseline is missing, failed, has other images or a single one, or its metric is undefined (no pixel of a
    shift is labelled), 4 improved beyond the tolerance (`two_sided`).
    """
    cells = read_baseline(baseline)
    done = {r.cell.id: r for r in store.records() if r.status == "done"}
    compared: list[tuple[str, str, float, float, float]] = []
    verdicts: list[Verdict] = []
    for cell_id, old in sorted(cells.items(), key=lambda item: str(item[1]["label"])):
        now = outcomes_of(done[cell_id], store) if cell_id in done else {}
        if what := _lacking(old, now):
            verdicts.append(_missing(old["label"], what))
            continue
        values = METRICS[old["metric"]].values
        new = {s: values(images) for s, images in now.items()}
        for what, *numbers in _compare(old["shifts"], old["values"], new):
            if np.isfinite(numbers).all():
                compared.append((old["label"], what, *numbers))
            else:
                verdicts.append(_missing(old["label"], f"{what}: undefined"))
    for row, adjusted in zip(compared, holm([row[-1] for row in compared]) if compared else [], strict=True):
        label, what, old_value, new_value, _ = row
        verdicts.append(
            Verdict(
                cell=label,
                what=what,
                before=old_value,
                now=new_value,
                p=adjusted,
                verdict=_judge(new_value - old_value, adjusted, max_drop, p),
            )
        )
    said = {v.verdict for v in verdicts}
    if "regressed" in said:
        return REGRESSED, verdicts
    if "missing" in said or not compared:
        return INCOMPLETE, verdicts
    return (IMPROVED if two_sided and "improved" in said else OK), verdicts


def _compare(shifts: dict[str, Any], old: Arrays, new: Arrays) -> list[tuple[str, float, float, float]]:
    """(what, metric before, metric now, p) of per-image values: ID, the headline mean, and each family."""
    rows = [("id", _mean(old, ["id"]), _mean(new, ["id"]), paired_difference(new["id"], old["id"]).p)]
    headline = [s for s, about in shifts.items() if about["in_mean"] and s != "id"]
    families = {"ood": headline} if headline else {}
    for shift in headline:
        families.setdefault(shifts[shift]["family"], []).append(shift)
    for what, members in families.items():
        pools: dict[str, NDArray[np.float64]] = {}
        for s in members:
            share = (new[s].astype(float) - old[s]) / len(members)
            pools[shifts[s]["image_set"]] = pools.get(shifts[s]["image_set"], 0.0) + share
        p = pooled_difference(list(pools.values())).p
        rows.append((what, _mean(old, members), _mean(new, members), p))
    return rows


def _lacking(old: dict[str, Any], now: Arrays) -> str:
    """Why a cell of the baseline cannot be compared, if so."""
    if {s: len(v) for s, v in now.items()} != old["images"]:
        return "other images" if now else "not measured"
    compared = [n for s, n in old["images"].items() if s == "id" or old["shifts"][s]["in_mean"]]
    return "a single image" if min(compared) < 2 else ""


def _missing(cell: str, what: str) -> Verdict:
    return Verdict(cell=cell, what=what, before=np.nan, now=np.nan, p=np.nan, verdict="missing")


def _judge(change: float, p: float, max_drop: float, level: float) -> str:
    if p >= level or abs(round(change, 9)) <= max_drop:  # two percentages carry noise in their last digits
        return "ok"
    return "regressed" if change < 0 else "improved"


def _mean(values: Arrays, shifts: list[str]) -> float:
    return 100 * float(np.mean([values[s].mean() for s in shifts]))
