"""A results folder in a form that is small enough to be committed: of every image only whether it is right.

That is what tables, intervals and tests of top-1 need. The margin of an image becomes its sign, a byte that
compresses to about two bits; its class and its confidence are left out. Outcomes of other metrics stay whole,
and so do ids of images.
"""

from dataclasses import replace

import numpy as np

from flatqat.bench.records.files import Arrays
from flatqat.bench.records.merge import check_images, copied, outcomes_from
from flatqat.bench.records.outcomes import IDS
from flatqat.bench.records.paired import metric_of
from flatqat.bench.records.store import Store
from flatqat.bench.records.united import united
from flatqat.bench.records.writable import check_writable
from flatqat.errors import UsageError
from flatqat.metrics.outcomes import is_right
from flatqat.spec import Record

MARGIN, CONFIDENCE = "margin", "confidence"
NEVER_COPIED = ("weights", "pictures", "sensitivity")


def compact(source: Store, target: Store) -> tuple[int, int]:
    """Add the cells of one folder to another, in the small form; returns how many are new, and the total.

    Weights and pictures are not copied. Existing cells are kept, so that cells can be added as they finish.

    Raises UsageError if both are one folder, or the target is not a compact copy; StoreError, before anything
    is written, on a damaged record or damaged outcomes, or if the target has other images or a cell with
    other numbers.
    """
    if source.root.resolve() == target.root.resolve():
        expected = f"expected another folder than {source.root}, which stays as it is"
        raise UsageError(f"--into: {expected}, got the same")
    records = source.some_records()
    held = {record.cell.id: record for record in (target.records() if target.root.is_dir() else [])}
    extra = [name for name in NEVER_COPIED if (target.root / name).exists()]
    if extra or any(_has_more(record, target) for record in held.values()):
        expected = "expected a new folder or an earlier compact copy"
        raise UsageError(
            f"--into: {expected}, got one with {[*extra, 'whole outcomes'][0]}: {target.root}; choose another"
        )
    check_images([target, source], [list(held.values()), records])
    plan = [(record, _beside(record, held.get(record.cell.id), source)) for record in records]
    whole = {own.cell.id for own, _ in plan if outcomes_from(own, [source])}
    check_writable(target.root)
    for path in source.root.glob("data/*.json"):
        copied(path, target.root)
    for own, record in plan:
        if own.cell.id in whole and not target.has_outcomes(record):
            target.write_record(record, _small(own, source))
        elif record != held.get(record.cell.id):
            target.write_record(record)
    new = len([record for record in records if record.cell.id not in held])
    return new, len(held) + new


def _has_more(record: Record, store: Store) -> bool:
    """Whether the outcomes of a record are more than `_small` keeps."""
    small = metric_of(record).needs == (MARGIN,)
    return record.status == "done" and small and bool(store.outcomes(record.cell, [CONFIDENCE]))


def _beside(record: Record, known: Record | None, source: Store) -> Record:
    """Return a record united with that of the target, whose outcomes are the same ones in another form."""
    if known is None:
        return record
    return united(known, replace(record, outcomes_sha256=known.outcomes_sha256), str(source.root))


def _small(record: Record, source: Store) -> Arrays:
    """Return the outcomes of a record as `<shift>:<array>`, of top-1 the signs of the margins alone."""
    outcomes = source.outcomes(record.cell, sha256=record.outcomes_sha256)
    if metric_of(record).needs != (MARGIN,):
        return outcomes
    margins = {key: array for key, array in outcomes.items() if key.endswith(f":{MARGIN}")}
    signs = {key: np.where(is_right(array), 1, -1).astype(np.int8) for key, array in margins.items()}
    return signs | {key: array for key, array in outcomes.items() if key.endswith(f":{IDS}")}
