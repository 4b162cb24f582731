"""What a verified file adds to a table: its metric and how often it predicts what its cell predicts.

Of the two runs of a file, tables show the one with graph optimization: that is how a runtime runs it.
"""

import math
from collections.abc import Sequence

from flatqat.bench.records.paired import seed_mean
from flatqat.metrics.missing import mean_if_complete, mean_of_known
from flatqat.spec import Record


def deployed_value(record: Record, shift: str) -> float | None:
    """Return the suite's metric of the verified file on a set, in percent; None if it is not known.

    Where the file saw fewer images than the cell was scored on, it is the score of the cell plus the change
    on those images, which can be compared with that score.
    """
    found = record.deployed.optimized.shifts.get(shift) if record.deployed else None
    if found is None or shift not in record.scores:
        return None
    score = record.scores[shift][record.protocol.metric]
    if found.images == score.n:
        return found.file
    return None if found.change is None or score.value is None else score.value + found.change


def deployed_columns(records: Sequence[Record], shifts: Sequence[str]) -> dict[str, float | None]:
    """Return the columns of the verified files of a row; none without.

    A score is that of the row plus the mean change over the seeds whose file was verified, so that it can be
    compared with the score beside it where not all have one.
    `deployed_images` is the number of ID images that the files saw, the fewest of all seeds, and
    `deployed_latency_ms` the median time of one image, None unless it was measured.
    """
    verified = [record for record in records if record.deployed]
    if not verified:
        return {}
    name = verified[0].protocol.metric
    runs = [record.deployed.optimized for record in verified if record.deployed]
    of_id = [run.shifts["id"].images for run in runs if "id" in run.shifts]

    def of_row(sets: Sequence[str]) -> float | None:
        cells = seed_mean(records, name, sets)
        change = mean_of_known(_change(r, sets) for r in verified)
        return None if cells is None or change is None else cells + change

    return {
        f"deployed_id_{name}": of_row(["id"]),
        f"deployed_ood_{name}": of_row(shifts),
        "deployed_agreement": mean_of_known(run.all.agreement for run in runs),
        "deployed_latency_ms": mean_of_known(
            record.deployed.latency.median
            for record in verified
            if record.deployed and record.deployed.latency
        ),
        "deployed_seeds": len(verified),
        "deployed_images": min(of_id, default=None),
    }


def _change(record: Record, sets: Sequence[str]) -> float | None:
    """Return the mean over sets of the verified file's score minus that of its cell."""
    cell = mean_if_complete(record.values(record.protocol.metric, sets))
    file = mean_if_complete(deployed_value(record, shift) for shift in sets)
    return None if cell is None or file is None else file - cell


def percentage(share: float, digits: int = 2) -> str:
    """Return a percentage rounded down, so that only all is 100."""
    scale = 10**digits
    return f"{math.floor(share * scale + 1e-6) / scale:.{digits}f}"
