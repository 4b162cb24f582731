"""What a section has beside a pack, as a table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flatqat.bench.gate.compare import Row
from flatqat.bench.records.sections import Section
from flatqat.bench.report.beside import Beside
from flatqat.bench.report.shown import Shown
from flatqat.console.printable import printable
from flatqat.console.rounded import rounded, with_interval

if TYPE_CHECKING:
    import pandas as pd

WHAT = {"id": "ID", "ood": "OOD"}
NOTE = (
    "difference: results minus reference in points, paired by image, with its 95% interval over seeds and "
    "images; trainings of the two count as independent."
)
ONE_SEED, ONE_SEED_NOTE = "†", "†: one seed on both sides: over images, for these two trainings alone."
ALONE_NOTE = "-: only the reference has this row."


def title_of(found: Beside) -> str:
    """Return the title of the table."""
    return f"{found.title} · beside {found.name}"


def section_of(found: Beside, section: Section) -> Section:
    """Return a section of this title, for programs; its protocol says what the notes of the table say."""
    protocol = "; ".join([found.made, *said(found), *_differing(found)])
    rows = {key: records for key, records in section.rows.items() if found.rows or found.alone}
    return Section(title=title_of(found), protocol=protocol, rows=rows, problems=[])


def said(found: Beside) -> list[str]:
    """Return a line on everything that is not compared, with the reason."""
    return [f"not compared: {reason}" for reason in found.reasons]


def _differing(found: Beside) -> list[str]:
    return [f"differs: {text}" for text in found.differing]


def shown_beside(found: Beside) -> Shown | None:
    """Return the table of both sides and their differences, or None if nothing is comparable."""
    every = {**found.rows, **found.alone}
    if not every:
        return None
    whats = [what for what in WHAT if any(row.what == what for rows in every.values() for row in rows)]
    columns = [(WHAT[what], f"reference {WHAT[what]}", f"{WHAT[what]} difference") for what in whats]
    header = ["method", "bits", "seeds", *(printable(name) for group in columns for name in group)]
    texts = [
        [*map(printable, key), *_texts(rows, whats, is_alone=key in found.alone)]
        for key, rows in every.items()
    ]
    marked = any(ONE_SEED in text for row in texts for text in row)
    notes = [NOTE, *([ONE_SEED_NOTE] if marked else [])]
    notes += [ALONE_NOTE] if found.alone else []
    notes += [f"{line}." for line in _differing(found)]
    return Shown(
        header=header,
        rows=texts,
        labels=2,
        repeated=2,
        groups=[*header[:3], *(what for what in whats for _ in range(3))],
        notes=list(map(printable, notes)),
    )


def frame_beside(found: Beside) -> "pd.DataFrame":
    """Return the numbers behind the table."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for key, compared in {**found.rows, **found.alone}.items():
        own = key in found.rows
        row: dict[str, Any] = {"method": key[0], "bits": key[1]}
        row |= {"seeds": compared[0].seeds_now if own else None, "reference_seeds": compared[0].seeds_before}
        for one in compared:
            e = one.estimate
            numbers = (one.now, e.value, e.low, e.high) if own else (None,) * 4
            names = ("", "_difference", "_difference_low", "_difference_high")
            row |= {f"{one.what}{name}": number for name, number in zip(names, numbers, strict=True)}
            row[f"reference_{one.what}"] = one.before
        rows.append(row)
    table = pd.DataFrame(rows)
    return table.astype({"seeds": "Int64"}) if rows else table


def _texts(rows: Sequence[Row], whats: Sequence[str], *, is_alone: bool) -> list[str]:
    """Return the seeds of both sides, and for ID and OOD the two values and their difference."""
    by_what = {row.what: row for row in rows}
    first = rows[0]
    texts = [f"- / {first.seeds_before}" if is_alone else f"{first.seeds_now} / {first.seeds_before}"]
    for what in whats:
        if (row := by_what.get(what)) is None:
            texts += ["-"] * 3
            continue
        e = row.estimate
        mark = f" {ONE_SEED}" if row.seeds_before == row.seeds_now == 1 else ""
        difference = with_interval(e.value, e.low, e.high) + mark
        texts += ["-" if is_alone else rounded(row.now), rounded(row.before), "-" if is_alone else difference]
    return texts
