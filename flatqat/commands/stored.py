"""What `flatqat results list`, `show` and `rm` print of stored cells."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from flatqat.bench.records.files import size_of
from flatqat.bench.records.record_json import readable
from flatqat.bench.records.remove import bytes_of, images_of_no_other, matching
from flatqat.bench.records.revisions import older, revision
from flatqat.bench.records.sections import problems, sections, settings_text
from flatqat.bench.records.store import Store
from flatqat.bench.report.made import made
from flatqat.commands.verified import latency_lines, notes, verdict
from flatqat.console.blocks import fitting
from flatqat.console.printable import bytes_in_words
from flatqat.console.terminal import UNBOUND, full_width, plain_table, print_uncut, terminal
from flatqat.errors import Vanished, counted
from flatqat.spec import Cell, Record
from flatqat.spec.reading import to_plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

SHOWN = ("top1", "miou", "nll", "ece")
LISTED = ("suite", "cell", "settings", "status", "last run, UTC", "size")
DISPENSABLE = ("size", "last run, UTC", "suite")


def print_cells(results: Path, patterns: Sequence[str]) -> list[Record]:
    """Print a line for each stored cell that a pattern names, all without one; returns their records."""
    store, console = Store(results), terminal()
    every = store.records()
    records, old = matching(every, patterns), older(every)
    rows, total = [], 0
    for record in records:
        size, cell = bytes_of(record, store), record.cell
        status = f"{record.status}, older" if cell.id in old else record.status
        when = _minute(record.last_run) if record.last_run else _written(store.record_path(cell))
        rows.append((cell.suite, cell.label, _settings(cell), status, when, bytes_in_words(size)))
        total += size
    gone = _print_fitting(rows, console)
    console.print(f"{counted(len(records), 'cell')}, {bytes_in_words(total)}")
    if gone:
        console.print(f"left out: {', '.join(gone)}; a wider terminal or a pipe has all", style="dim")
    return records


def _print_fitting(rows: Sequence[tuple[str, ...]], console: "Console") -> list[str]:
    """Print a table of cells, and return the columns that a terminal had no room for.

    Labels are to be copied, and what is in a pipe is for programs, so neither is ever cut.
    """
    wrapped = ("settings",) if console.is_terminal else ()

    def table_of(columns: Sequence[int]) -> "Table":
        table = plain_table(*(LISTED[c] for c in columns), left=LISTED[:4], wrapped=wrapped)
        for row in rows:
            table.add_row(*(row[c] for c in columns))
        return table

    def needed(columns: Sequence[int]) -> int:
        return full_width(table_of(columns), console)

    room = console.width if console.is_terminal else UNBOUND
    kept = fitting(LISTED, [(name,) for name in DISPENSABLE], needed, room)
    print_uncut(table_of(kept), console)
    return [name for name in DISPENSABLE if LISTED.index(name) not in kept]


def print_records(results: Path, patterns: Sequence[str]) -> None:
    """Print for each stored cell that a pattern names how it was made, its scores and its flatness.

    That includes its file of weights, and the command that makes it.
    """
    console, store = terminal(), Store(results)
    every = store.records()
    old = older(every)
    for record in matching(every, patterns):
        console.print(f"{record.cell.label} of {record.cell.suite}", style="bold", soft_wrap=True)
        (section,) = sections([record])
        for line in (*_revision(record, old), *problems(section)):
            _say(line, console)
        if record.status == "done":
            _print_made(record, every, store)
            _print_numbers(record)


def question(records: Sequence[Record], store: Store) -> str:
    """Return what to ask before stored cells are removed."""
    files = len(images_of_no_other(records, store))
    images = f", with {counted(files, 'file')} of images that no other cell was scored on" if files else ""
    return f"Remove {'these' if len(records) > 1 else 'this'}{images}?"


def _say(text: str, console: "Console") -> None:
    """Print a sentence: over the lines of a terminal between words, and on one line of a pipe."""
    console.print(text, soft_wrap=not console.is_terminal)


def _revision(record: Record, old: Collection[str]) -> list[str]:
    """Return the revision of a cell's plugins, when it was run last, and whether it is an older one."""
    parts = [f"revision {revision(record.cell)}"] if record.cell.plugins else []
    parts += [f"last run {_minute(record.last_run)} UTC"] if record.last_run else []
    parts += ["older: newer code has replaced it"] if record.cell.id in old else []
    return [", ".join(parts)] if parts else []


def _print_made(record: Record, every: Sequence[Record], store: Store) -> None:
    """Print how a finished cell was made, where its weights are, and the command that makes it.

    Paths and the command have no line breaks, wherever a terminal goes on below, so that they can be copied.
    """
    console, cell = terminal(), record.cell
    (_, protocol), (start, parent), recipe, command = made(record, every, str(store.root))
    _say(protocol, console)
    _say(f"{start} {parent}", console)
    console.print(f"weights: {_weights(store.weights_path(cell))}", soft_wrap=True)
    if (last := store.weights_path(cell, "last")).exists():
        console.print(f"weights of the last step: {_weights(last)}", soft_wrap=True)
    _say(": ".join(recipe), console)
    console.print(": ".join(command), soft_wrap=True)


def _weights(path: Path) -> str:
    """Return a file of weights and its size, or that it is not there."""
    try:
        return f"{path}, {bytes_in_words(size_of(path))}"
    except Vanished:
        return f"{path}, missing; the command below with --rerun trains them again"


def _print_numbers(record: Record) -> None:
    """Print the scores of a finished cell, its flatness and its cost, and where they were computed."""
    console, protocol = terminal(), record.protocol
    metrics = [name for name in SHOWN if name in record.scores["id"]]
    table = plain_table("set", *metrics, "images", left=("set",))
    for shift, scores in record.scores.items():
        values = (scores[name].value if name in scores else None for name in metrics)
        shown = ("-" if value is None else f"{value:.2f}" for value in values)
        table.add_row(shift, *shown, f"{scores[metrics[0]].n:,}")
    print_uncut(table, console)
    for found in (record.deployed, *record.elsewhere.values()):
        if found is not None:
            for line in (verdict(record, found), *notes(record, found), *latency_lines(found.latency)):
                _say(f"{found.file}: {line}", console)
    for title, part in (
        ("method", dict(protocol.method)),
        ("flatness", record.flatness.to_dict()),
        *([("cost", record.cost.to_dict())] if record.cost else []),
        ("train", record.train.to_dict()),
        ("env", record.env.to_dict()),
    ):
        console.print(f"{title} {readable(to_plain(part))}", soft_wrap=True)


def _settings(cell: Cell) -> str:
    """Return the recipe, and what else tells cells apart whose labels differ in the id alone."""
    settings = [text] if (text := settings_text(cell)) else []
    settings += [f"{cell.step_multiplier}x steps"] if cell.step_multiplier > 1 else []
    others = {"keep": cell.keep, "layers": cell.layer_bits, "limit": cell.limit, "window": cell.window}
    others["adapted"] = cell.adapt
    settings += [f"{name} {value}" for name, value in others.items() if value is not None]
    return ", ".join([cell.recipe, *settings])


def _minute(when: str) -> str:
    return when[:16].replace("T", " ")


def _written(path: Path) -> str:
    """Return when a file was written, in UTC; `-` if another command removed it meanwhile."""
    try:
        return _minute(datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat())
    except OSError:
        return "-"
