"""What `flatqat results check` prints: what is wrong with a results folder, and the rows that are right."""

from collections.abc import Mapping
from pathlib import Path

from flatqat.bench.plan.jobs import suite_of
from flatqat.bench.records.sections import sections
from flatqat.bench.records.sound import Examined
from flatqat.bench.records.store import Store
from flatqat.bench.report.render import show
from flatqat.console.terminal import terminal
from flatqat.errors import FlatqatError, counted
from flatqat.exit_codes import OK, WRONG
from flatqat.spec import Record, ShiftInfo


def _shifts_of(record: Record) -> Mapping[str, ShiftInfo]:
    """Return what the suite of a record says of its shifts; nothing of a suite that is not here."""
    try:
        suite = suite_of(record.cell)
    except FlatqatError:
        return {}
    if suite.version != record.cell.suite_version:
        return {}
    return {shift.name: shift.info for shift in suite.scored}


def print_checked(folder: Path) -> int:
    """Print what is wrong with a results folder, a line each, and the report of all other records; 0 or 1."""
    store, console = Store(folder), terminal()
    examined = Examined(store, _shifts_of)
    for line in examined.problems:
        console.print(line, style="bold red", soft_wrap=True)
    show(sections(examined.records), store, "method", console)
    records = counted(len(examined.records), "record")
    in_a_pipe = not console.is_terminal  # where programs look at the last line
    scores = f"{examined.scores:,} scores computed again from the outcomes of images"
    if examined.problems:
        count = len(examined.problems)
        problems = counted(count, "problem")
        console.print(f"WRONG: {problems}; {records} without any; {scores}", soft_wrap=in_a_pipe)
        return WRONG
    unhashed = sum(r.status == "done" and not r.outcomes_sha256 for r in examined.records)
    hashes = "hashes" + f" (which {unhashed} older ones lack)" * bool(unhashed)
    console.print(f"OK: {records}, their ids, fingerprints and {hashes}; {scores}", soft_wrap=in_a_pipe)
    return OK
