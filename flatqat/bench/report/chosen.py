"""The columns of a table that the user wants."""

from collections.abc import Sequence
from dataclasses import replace

from flatqat.bench.report.column_names import columns_named, name_of
from flatqat.bench.report.shown import Shown


def with_columns(tables: Sequence[Shown | None], names: Sequence[str]) -> list[Shown | None]:
    """Return tables with their labels and those columns of `names` that they have.

    Without names all columns are kept but those that are shown on request alone. A name is that of a header
    without what stands in brackets, or another of `columns_named`; those of labels change nothing. Raises
    UsageError on one that no table has.
    """
    if not names or not any(tables):  # no table has columns
        return [shown and usual(shown) for shown in tables]
    known = [name_of(header) for shown in tables if shown for header in shown.header[shown.labels :]]
    labels = [name_of(header) for shown in tables if shown for header in shown.header[: shown.labels]]
    wanted = columns_named(names, [*known, *labels])
    return [shown and _kept(shown, wanted) for shown in tables]


def usual(shown: Shown) -> Shown:
    """Return a table without the columns that are shown on request alone."""
    names = [name_of(header) for header in shown.header[shown.labels :]]
    usual = [name for name in names if name not in shown.on_request]
    return shown if usual == names else replace(_kept(shown, usual), dispensable=shown.dispensable)


def _kept(shown: Shown, names: Sequence[str]) -> Shown:
    places = {name_of(header): place for place, header in enumerate(shown.header)}
    kept = [*range(shown.labels), *(places[name] for name in names if places.get(name, 0) >= shown.labels)]
    headers = {shown.header[place] for place in kept}
    return replace(
        shown.kept(kept),
        notes=shown.notes,
        strong={(row, kept.index(place)) for row, place in shown.strong if place in kept},
        notes_of={name: text for name, text in shown.notes_of.items() if name in headers},
        definitions={name: text for name, text in shown.definitions.items() if name in headers},
    )
