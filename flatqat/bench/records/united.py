"""One record out of two of the same cell."""

from dataclasses import replace

from flatqat.errors import StoreError
from flatqat.spec import Record
from flatqat.spec.record import LATER


def united(known: Record, other: Record, where: str) -> Record:
    """Return one record of a cell that has two; `where` the other one is stands in the error.

    One that is done counts before one that failed or was skipped, and else the one run last. Of two that
    are done it has the flatness and the optional fields of both; where both have one, that of the one run
    last.

    Raises StoreError if both are done with other numbers.
    """
    first, last = sorted((known, other), key=lambda record: (record.status == "done", record.last_run))
    if first.status != "done":
        return last
    hashes = {record.outcomes_sha256 for record in (known, other) if record.outcomes_sha256}
    if known.scores != other.scores or len(hashes) > 1:
        label = known.cell.label
        raise StoreError(
            f"cell {label}: expected one set of scores, got others in {where}: it was run twice, on two "
            f"machines or with two numbers of threads; remove one of them: flatqat results rm {label}"
        )
    optional = {name: getattr(last, name) or getattr(first, name) for name in LATER}
    of = optional["deployed"] and optional["deployed"].sha256  # another file's outcomes stand beside none
    optional["elsewhere"] = {k: one for k, one in optional["elsewhere"].items() if one.sha256 == of}
    return replace(last, flatness=first.flatness.updated(last.flatness), **optional)
