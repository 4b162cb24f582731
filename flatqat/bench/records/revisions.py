"""Which records count where code was edited: those made of the code that was run last.

Editing a plugin gives the cells that use it other ids, so that old and new numbers are never mixed. Those of
the older code stay in the folder and are called older revisions, whether the newer code was run with their
own settings, seeds and bits or with others.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from flatqat import registry
from flatqat.bench.records.store import Store
from flatqat.errors import StoreError
from flatqat.spec import Cell, Record


def now() -> str:
    """Return the time for a record: UTC, in a form that sorts."""
    return _in_text(datetime.now(UTC))


def _in_text(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds")


def _after(records: Iterable[Record]) -> str:
    """Return the time for a record that is newer than others, also where a clock was ahead."""
    newest = datetime.now(UTC)
    for record in records:
        with suppress(ValueError, TypeError, OverflowError):  # a record of another hand
            newest = max(newest, datetime.fromisoformat(record.last_run) + timedelta(milliseconds=1))
    return _in_text(newest.astimezone(UTC))


def role(cell: Cell) -> Cell:
    """Return a cell without what editing code changes; its revisions have the same role."""
    return replace(cell, plugins=None, parent=None, preprocessing=None)


def newest(records: Sequence[Record]) -> list[Record]:
    """Return the records without older revisions, in their order."""
    old = older(records)
    return [record for record in records if record.cell.id not in old]


def older(records: Iterable[Record]) -> set[str]:
    """Return the ids of older revisions: what does not agree with a record that was run later.

    Two agree if what is made of the same files has the same code, and if what starts from the same parent has
    the same revision of it. A record without numbers makes none of another row older.
    """
    old: set[str] = set()
    claims: dict[tuple[object, ...], object] = {}
    for record in sorted(records, key=lambda r: (r.last_run, r.cell.id), reverse=True):
        own = _claims(record)
        if any(claims.get(key, value) != value for key, value in own.items()):
            old.add(record.cell.id)
        else:
            claims |= own
    return old


def _claims(record: Record) -> dict[tuple[object, ...], object]:
    """Return what must be the same in every record that is shown beside this one."""
    cell = record.cell
    row = replace(role(cell), seed=0)
    table = replace(
        row,
        method="",
        quant="fp",
        method_args=(),
        method_version=1,
        step_multiplier=1,
        keep=None,
        layer_bits=None,
    )
    claims: dict[tuple[object, ...], object] = {
        ("code", row): (cell.plugins, cell.preprocessing),
        ("cell", role(cell)): cell.id,
    }
    if record.status == "done":
        claims["files", replace(table, suite=_family(cell)), files(cell)] = cell.plugins
    if cell.quant == "fp" and not cell.method_args and cell.step_multiplier == 1:  # others may start from it
        claims["start", table, _name(cell.label)] = cell.training_id
    if cell.parent and record.status == "done":
        claims["start", table, _name(record.protocol.parent)] = cell.parent
    return claims


def files(cell: Cell) -> tuple[str, str]:
    """Return what decides, with suite and model, which files of plugins a cell is made of.

    That is its method, where that is not flatqat's own, and its quantizer.
    """
    own = registry.is_built_in(registry.METHODS, cell.method)
    return "" if own else f"{cell.method} v{cell.method_version}", cell.quant.partition("@")[2]


def revision(cell: Cell) -> str:
    """Return what names the code of a cell: six digits of the hash of its plugin files, or of its own."""
    return (cell.plugins or cell.id)[:6]


def _family(cell: Cell) -> str:
    return cell.suite.partition("@")[0]


def _name(label: str) -> str:
    """Return the label of a cell without its id."""
    return label.rpartition("-")[0]


def with_revisions(records: Sequence[Record], store: Store) -> list[Record]:
    """Return the records of a run with all others in its folder that do not agree with them.

    Only cells made of plugins have any. None are found in a folder that cannot be read: the run is done.
    """
    own = [record for record in records if record.cell.plugins]
    claims = {key: value for record in own for key, value in _claims(record).items()}
    try:
        stored = [r for suite in sorted({_family(r.cell) for r in own}) for r in store.records(suite)]
    except StoreError:
        stored = []
    known = {record.cell.id for record in records}
    others = (r for r in stored if r.cell.id not in known)
    return [*records, *(r for r in others if any(claims.get(k, v) != v for k, v in _claims(r).items()))]


def renewed(records: Sequence[Record], store: Store) -> list[Record]:
    """Return the records of a run, stored as the newest revisions: an edit may have been undone since."""
    every = with_revisions(records, store)
    old, newest = older(every), _after(every)
    current = [replace(r, last_run=newest) if r.cell.id in old else r for r in records]
    if again := [record for record in current if record.cell.id in old]:
        try:
            with store.claims() as claims:
                for record in again:
                    with store.locked(record.cell, claims) as stored:
                        if stored:
                            store.write_record(replace(stored, last_run=newest))
        except StoreError:  # a folder that is only read
            return list(records)
    return current
