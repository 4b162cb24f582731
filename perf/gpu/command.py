"""The command itself: the same cells on the device and on the CPU, with nearly the same scores."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

from flatqat.bench.records.store import Store
from perf.gpu.ledger import Entry, check
from perf.gpu.setting import Setting

RUN = (sys.executable, "-m", "flatqat", "bench", "run", "--suite", "digits-c", "--limit", "100")
SHORT = ("--seeds", "0,", "--no-flatness", "--set", "recipe.pretrain_steps=60", "--set", "recipe.steps=30")


def command(on: Setting) -> Iterator[Entry]:
    """Scores of short trainings; they part as trainings do, by a few percent."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for device in dict.fromkeys(on.places):
            results = Path(folder) / str(device).replace(":", "")
            methods = "fp" if on.tiny else "fp,ptq,qat,anchor,sam"
            options = ("--results", str(results), "--device", str(device), "--method", methods, *SHORT)
            done = subprocess.run([*RUN, *options], capture_output=True, text=True, timeout=240)
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            yield check(f"digits-c on {device}", done.returncode == 0, code=done.returncode, last=last)
            if done.returncode:
                return
            found.append(_scores(Store(results)))
    if len(found) == 2:
        gaps = [abs(found[0][key] - found[1][key]) for key in found[0] if key in found[1]]
        yield check(
            "scores of both", found[0].keys() == found[1].keys() and fmean(gaps) <= 5, mean=fmean(gaps)
        )


def _scores(store: Store) -> dict[tuple[str, str], float]:
    """Return top-1 by the cell's label and the shift."""
    return {
        (record.cell.label, shift): scores["top1"].value
        for record in store.records()
        for shift, scores in record.scores.items()
    }
