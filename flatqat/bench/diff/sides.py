"""What the two words of a diff stand for: two folders, or two rows of one folder.

A word with a slash is a folder. One without is a folder if there is one of this name, and a row if the
results folder has one; it may not be both, and both words are of one kind. A row of an older revision is
named as reports with all revisions do, or by its cells.
"""

import os
from pathlib import Path

from flatqat.bench.diff.difference import Diff
from flatqat.bench.diff.folders import diff_of_folders
from flatqat.bench.diff.rows import Rows, diff_of_rows, rows_named
from flatqat.bench.gate.shift_groups import By
from flatqat.bench.records.sections import Section, row_label, sections
from flatqat.bench.records.store import Store
from flatqat.errors import StoreError, UsageError, found, unknown

FOLDER, ROW = "folder", "row"


def diff(a: str, b: str, results: Path, by: By = "family") -> Diff:
    """Return the differences of two folders, or of two rows of `results`.

    Raises UsageError unless it is clear which of the two is meant, and StoreError on damaged results.
    """
    store = Store(results)
    records = store.records() if results.is_dir() and not all(map(_has_slash, (a, b))) else []
    stored, whole = sections(records), sections(records, all_revisions=True)
    named = [_rows_of(word, stored) or _rows_of(word, whole) for word in (a, b)]
    kinds = [_kind(word, rows, whole, results) for word, rows in zip((a, b), named, strict=True)]
    if kinds[0] != kinds[1]:
        got = f"the {kinds[0]} {a!r} and the {kinds[1]} {b!r}"
        raise UsageError(f"expected two folders, or two rows of {results}, got {got}")
    if kinds[0] == ROW:
        if named[0] == named[1]:
            raise UsageError(f"expected two different rows of {results}, got {a!r} and {b!r}")
        ours, theirs = named
        rows = [(s.title, ours.get(s.title, {}), theirs.get(s.title, {})) for s in whole]
        return diff_of_rows(a, b, rows, store, by)
    if Path(a).resolve() == Path(b).resolve():
        raise UsageError(f"expected two different folders, got {a} and {b}")
    return diff_of_folders(Store(Path(a)), Store(Path(b)), by)


def _rows_of(word: str, stored: list[Section]) -> dict[str, Rows]:
    """Return the rows that a word names, by the title of their section."""
    return {section.title: rows for section in stored if (rows := rows_named(section, word))}


def _kind(word: str, rows: dict[str, Rows], stored: list[Section], results: Path) -> str:
    """Return what a word stands for, which names some `rows`."""
    is_folder = os.path.isdir(word)  # which finds none under an impossible name
    if _has_slash(word):
        if not is_folder:
            raise StoreError(f"results folder {word}: expected a folder, found {found(Path(word))}")
        return FOLDER
    is_row = bool(rows)
    names = dict.fromkeys(name for s in stored for key in s.rows for name in (key[0], row_label(key)))
    if is_folder and is_row:
        longer = next((name for name in names if name.startswith(f"{word} ")), "the label of a cell")
        choice = f"name the folder ./{word}, or the row {longer!r}"
        raise UsageError(f"{word!r}: expected a folder or a row of {results}, got both; {choice}")
    if not is_folder and not is_row:
        raise unknown(f"folder, or row of {results},", word, names)
    return FOLDER if is_folder else ROW


def _has_slash(word: str) -> bool:
    return os.sep in word
