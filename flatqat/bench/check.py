"""The gate for CI: has accuracy dropped by more than a tolerance, and by more than chance?

A baseline holds, for every finished cell, which images each shift got right, one bit an image. So the gate
compares image by image: exact McNemar for one shift, a z-test of per-image means for a mean over shifts.
It trips on size and significance together, p adjusted by Holm over all that is compared.
"""

import base64
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatqat.bench.codec import to_json
from flatqat.bench.paired import correct
from flatqat.bench.store import Store, write_atomically
from flatqat.errors import StoreError
from flatqat.metrics.pooled import pooled_difference
from flatqat.metrics.statistics import holm, paired_difference

BASELINE_SCHEMA = 1
OK, REGRESSED, INCOMPLETE, IMPROVED = 0, 1, 3, 4

Corrects = dict[str, NDArray[np.bool_]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One comparison: top-1 in the baseline and now, in percent, and what the gate says of it."""

    cell: str
    what: str
    before: float
    now: float
    p: float
    verdict: str


def write_baseline(store: Store, output: Path) -> int:
    """Store every finished cell of a results folder as a baseline; returns how many. Raises StoreError."""
    cells = {}
    for record in store.records():
        outcomes = correct(record, store)
        if record.status == "done" and outcomes:
            cells[record.cell.id] = {
                "label": record.cell.label,
                "shifts": record.protocol["shifts"],
                "images": {shift: len(right) for shift, right in outcomes.items()},
                "correct": {shift: _pack(right) for shift, right in outcomes.items()},
            }
    if not cells:
        raise StoreError(f"expected finished cells with outcomes in {store.root}, got none; make some first")
    write_atomically(output, to_json({"schema": BASELINE_SCHEMA, "cells": cells}))
    return len(cells)


def check(
    store: Store, baseline: Path, max_drop: float, p: float, two_sided: bool
) -> tuple[int, list[Verdict]]:
    """Compare a results folder with a baseline; returns the exit code and every comparison.

    0 fine, 1 regressed (a drop above `max_drop` points with an adjusted p under `p`), 3 a cell of the
    baseline is missing, failed or has other images, 4 improved beyond the tolerance (`two_sided`).
    """
    cells = _read(baseline)
    done = {r.cell.id: r for r in store.records() if r.status == "done"}
    compared: list[tuple[str, str, float, float, float]] = []
    verdicts: list[Verdict] = []
    for cell_id, old in sorted(cells.items(), key=lambda item: str(item[1]["label"])):
        now = correct(done[cell_id], store) if cell_id in done else {}
        if {s: len(v) for s, v in now.items()} != old["images"]:
            what = "other images" if now else "not measured"
            verdicts.append(
                Verdict(cell=old["label"], what=what, before=np.nan, now=np.nan, p=np.nan, verdict="missing")
            )
            continue
        compared += [(old["label"], *row) for row in _compare(old["shifts"], old["correct"], now)]
    for row, adjusted in zip(compared, holm([row[-1] for row in compared]) if compared else [], strict=True):
        label, what, old_top1, new_top1, _ = row
        verdicts.append(
            Verdict(
                cell=label,
                what=what,
                before=old_top1,
                now=new_top1,
                p=adjusted,
                verdict=_judge(new_top1 - old_top1, adjusted, max_drop, p),
            )
        )
    said = {v.verdict for v in verdicts}
    if "regressed" in said:
        return REGRESSED, verdicts
    if "missing" in said or not compared:
        return INCOMPLETE, verdicts
    return (IMPROVED if two_sided and "improved" in said else OK), verdicts


def _compare(
    shifts: dict[str, Any], before: Corrects, now: Corrects
) -> list[tuple[str, float, float, float]]:
    """(what, top-1 before, top-1 now, p) for ID, the headline mean, and each family."""
    rows = [("id", _top1(before, ["id"]), _top1(now, ["id"]), paired_difference(now["id"], before["id"]).p)]
    headline = [s for s, about in shifts.items() if about["headline"] and s != "id"]
    families: dict[str, list[str]] = {"ood": headline}
    for shift in headline:
        families.setdefault(shifts[shift]["family"], []).append(shift)
    for what, members in families.items():
        pools: dict[str, NDArray[np.float64]] = {}
        for s in members:
            share = (now[s].astype(float) - before[s]) / len(members)
            pools[shifts[s]["pool"]] = pools.get(shifts[s]["pool"], 0.0) + share
        p = pooled_difference(list(pools.values())).p
        rows.append((what, _top1(before, members), _top1(now, members), p))
    return rows


def _judge(change: float, p: float, max_drop: float, level: float) -> str:
    if p >= level or abs(change) <= max_drop:
        return "ok"
    return "regressed" if change < 0 else "improved"


def _top1(outcomes: Corrects, shifts: list[str]) -> float:
    return 100 * float(np.mean([outcomes[s].mean() for s in shifts]))


def _pack(right: NDArray[np.bool_]) -> str:
    return base64.b64encode(zlib.compress(np.packbits(right).tobytes(), 9)).decode()


def _unpack(text: str, n: int) -> NDArray[np.bool_]:
    bits = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
    if not 0 <= 8 * len(bits) - n < 8:
        raise ValueError(f"{len(bits)} bytes for {n} images")
    return np.unpackbits(bits, count=n).astype(bool)


def _read(path: Path) -> dict[str, Any]:
    """The cells of a baseline, their outcomes unpacked. Raises StoreError."""
    try:
        data = json.loads(path.read_bytes())
        if data["schema"] > BASELINE_SCHEMA:
            raise StoreError(f"baseline {path}: expected schema {BASELINE_SCHEMA} or older; update flatqat")
        for cell in data["cells"].values():
            cell["correct"] = {s: _unpack(text, cell["images"][s]) for s, text in cell["correct"].items()}
            if (
                not cell["label"]
                or "id" not in cell["correct"]
                or set(cell["shifts"]) != set(cell["correct"])
            ):
                raise ValueError("shifts that do not fit the outcomes")
            for about in cell["shifts"].values():
                about["headline"], about["family"], about["pool"]
        return dict(data["cells"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zlib.error) as error:
        cause = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise StoreError(
            f"baseline {path}: expected a file made by 'flatqat bench baseline', got a damaged one ({cause})"
        ) from error
