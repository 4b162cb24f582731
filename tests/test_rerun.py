"""Committed records come out again: one cell of each folder of results, drawn at random, is computed anew.

    python -m pytest -m slow tests/test_rerun.py -s

On the machine that made them, numbers repeat to the bit; `FLATQAT_SAME_MACHINE=1` demands that. Another
processor, device or library adds up in another order, and training blows a last digit up until the run is as
far from the first as one of another seed. So elsewhere ID and OOD may be off by four standard deviations over
seeds, pooled over the methods of the folder; one without several seeds is compared on the same machine alone.
"""

import os
import random
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flatqat.bench.plan.command_lines import commands
from flatqat.bench.records.paired import ood_shifts
from flatqat.bench.records.sections import sections
from flatqat.bench.records.store import Store
from flatqat.spec import Record
from tests.helpers import RESULTS

FOLDERS = sorted(path.parent for path in RESULTS.glob("*/records"))
LIMIT = 6 * 3600


def means(record: Record) -> dict[str, float]:
    ood = np.mean([record.scores[shift]["top1"].value for shift in ood_shifts(record)])
    return {"ID": record.scores["id"]["top1"].value, "OOD": float(ood)}


def scatter(store: Store) -> dict[str, float]:
    """The standard deviation over seeds, pooled over the methods of the folder. Skips where there is none."""
    rows = [rows for section in sections(store.records()) for rows in section.rows.values() if len(rows) > 1]
    if not rows:
        pytest.skip("other numbers than those stored, and no seeds to say how far off they may be")
    variances = {
        what: [np.var([means(r)[what] for r in members], ddof=1) for members in rows]
        for what in ("ID", "OOD")
    }
    return {what: float(np.mean(found)) ** 0.5 for what, found in variances.items()}


@pytest.mark.slow
@pytest.mark.timeout(LIMIT)
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_committed_cell_comes_out_again(folder, tmp_path, request):
    store = Store(folder)
    records = [r for r in store.records() if r.status == "done" and "top1" in r.scores["id"]]
    if not records:
        pytest.skip("no record of a suite scored by top-1")
    record = random.SystemRandom().choice(records)
    (line,) = commands([record], str(tmp_path))
    words = shlex.split(line)
    if record.cell.weights:
        shared = request.getfixturevalue("shared")
        place = words.index("--weights") + 1
        words[place] = str(shared / "models" / words[place])
        if not Path(words[place]).exists():
            pytest.skip(f"start weights are absent: {words[place]}")
    if "DATA" in words:
        words[words.index("DATA")] = str(request.getfixturevalue("shared") / "data")
    words = [sys.executable, "-m", *words, "--no-flatness", "--device", "cpu"]
    print(shlex.join(words), flush=True)
    done = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stderr

    again = Store(tmp_path).record(record.cell)
    assert again is not None, "the derived command ran another cell"
    before, now = store.outcomes(record.cell), Store(tmp_path).outcomes(record.cell)
    assert before.keys() == now.keys()
    if again.scores == record.scores and all(np.array_equal(before[k], now[k]) for k in before):
        return
    environments = f"stored: {record.env}, here: {again.env}"
    assert not os.environ.get("FLATQAT_SAME_MACHINE"), f"not the same numbers: {environments}"
    seeds = scatter(store)
    for what, value in means(record).items():
        assert abs(means(again)[what] - value) <= 4 * seeds[what], (what, environments)
