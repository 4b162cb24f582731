"""Tables of stored records for people, papers and programs. The same store gives the same bytes."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal, get_args

from flatqat.bench.gate.reference import Pack
from flatqat.bench.records.named import results_option
from flatqat.bench.records.paired import Runs
from flatqat.bench.records.sections import Section, problems, sections
from flatqat.bench.records.store import Store
from flatqat.bench.report.as_data import as_csv, as_json
from flatqat.bench.report.as_latex import as_latex
from flatqat.bench.report.as_markdown import as_markdown
from flatqat.bench.report.as_model_index import as_model_index
from flatqat.bench.report.beside import Beside, beside
from flatqat.bench.report.beside_table import frame_beside, said, section_of, shown_beside, title_of
from flatqat.bench.report.best import with_best
from flatqat.bench.report.by_class import by_class, check_classes, class_columns, columns_meant
from flatqat.bench.report.by_method import View, by_method, method_rows
from flatqat.bench.report.by_shift import by_shift, shift_columns
from flatqat.bench.report.choice import Choice, chosen
from flatqat.bench.report.chosen import with_columns
from flatqat.bench.report.column_names import columns_named
from flatqat.bench.report.families import Family, by_domain, merged, rows_of_methods
from flatqat.bench.report.method_table import of_methods
from flatqat.bench.report.on_terminal import print_table
from flatqat.bench.report.shown import Shown, by_column, of_classes
from flatqat.console.printable import printable

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

Format = Literal["table", "md", "csv", "json", "latex", "study", "html", "hf"]
WHOLE: tuple[Format, ...] = ("study", "html", "hf")  # with contents of their own
LABELS = ("method", "bits", "domain", "shift", "family", "severity", "class", "condition")
ALL = Choice()
FORMATS: tuple[Format, ...] = get_args(Format)


def render(
    store: Store,
    suite: str | None,
    form: Format,
    view: View,
    against: str = "",
    *,
    columns: Sequence[str] = (),
    all_revisions: bool = False,
    choice: Choice = ALL,
    pack: Pack | None = None,
) -> str:
    """Return the report as text, with tables beside a pack.

    A study and a page compare with `against`, and have all views. Raises StoreError if nothing is stored, and
    UsageError if a table has none of some `columns`.
    """
    stored = load(store, suite, all_revisions=all_revisions, choice=choice)
    if form == "study":
        from flatqat.bench.study.page import study_page
        from flatqat.bench.study.study import studied

        return study_page(studied(stored, store, against), store)
    if form == "html":
        from flatqat.bench.report.html.page import as_html

        return as_html(stored, store, against)
    if form == "hf":
        return as_model_index(stored, store)
    shown = _as_shown(stored, view)
    columns = columns_meant(columns, shown) if view == "class" else columns
    if form in ("json", "csv"):
        frames = [(section, frame(section, store, view, ends=True)) for section in shown]
        frames = _kept(frames, columns) if columns else frames
        frames += [(section_of(b, s), frame_beside(b)) for s, b in _beside(stored, store, pack)]
        return as_json(frames) if form == "json" else as_csv(frames)
    write = as_markdown if form == "md" else as_latex
    texts = with_columns([_texts(section, store, view, bold=form == "latex") for section in shown], columns)
    parts = [
        write(section.title, problems(section), section.protocol, text)
        for section, text in zip(shown, texts, strict=True)
    ]
    parts += [write(title_of(b), said(b), b.made, shown_beside(b)) for _, b in _beside(stored, store, pack)]
    return "\n".join(parts)


def show(
    stored: list[Section],
    store: Store,
    view: View,
    console: "Console",
    columns: Sequence[str] = (),
    pack: Pack | None = None,
) -> None:
    """Print the report on a terminal, with tables beside a pack."""
    wanted = _as_shown(stored, view)
    columns = columns_meant(columns, wanted) if view == "class" else columns
    texts = with_columns([_texts(section, store, view) for section in wanted], columns)
    tables = [(s.title, problems(s), s.protocol, text) for s, text in zip(wanted, texts, strict=True)]
    tables += [(title_of(b), said(b), b.made, shown_beside(b)) for _, b in _beside(stored, store, pack)]
    definitions: dict[str, None] = {}
    for title, lines, protocol, shown in tables:
        console.print(printable(title), style="bold", soft_wrap=True)
        for line in lines:
            console.print(printable(line), style="bold red")
        if shown:
            gone = print_table(shown, console, results_option(store.root))
            notes = [f"{printable(protocol)}.", *shown.said(gone)]
            console.print("\n".join(notes) + "\n", style="dim")
            definitions |= dict.fromkeys(text for name, text in shown.definitions.items() if name not in gone)
    if definitions:
        console.print(" ".join(definitions), style="dim")


def load(
    store: Store, suite: str | None, *, all_revisions: bool = False, choice: Choice = ALL
) -> list[Section]:
    """Return the sections of all stored records, or of a suite's, with the chosen rows.

    Raises StoreError if there are no records, and UsageError as `chosen` does.
    """
    records = store.some_records(suite)
    shown = sections(records, all_revisions=all_revisions)
    return chosen(shown, choice, partial(sections, records, all_revisions=True))


def frame(section: Section, store: Store, view: View, *, ends: bool = False) -> "pd.DataFrame":
    """Return the numbers behind a view as a table; by shift, its 95% intervals only if `ends` is true."""
    if isinstance(section, Family):
        return by_domain(section, store)
    if view == "class":
        return by_class(section, store)
    return by_method(section, store) if view == "method" else by_shift(section, view, store if ends else None)


def _texts(section: Section, store: Store, view: View, *, bold: bool = False) -> Shown | None:
    """Return the table of a section as texts, or None if no cell is finished; the best may be in `bold`."""
    if not section.rows:
        return None
    if view == "class":
        return of_classes(section, class_columns(section, store, total=True))
    if view != "method":
        return by_column(section, view, shift_columns(section, view, store))
    if isinstance(section, Family) or not bold:
        return of_methods(section, rows_of_methods(section, store))
    runs = {key: Runs.of(records, store) for key, records in section.rows.items()}
    return with_best(of_methods(section, method_rows(section, store, runs)), section, runs)


def _kept(
    frames: "Sequence[tuple[Section, pd.DataFrame]]", columns: Sequence[str]
) -> "list[tuple[Section, pd.DataFrame]]":
    """Return tables with the columns that name their rows and those wanted ones that they have."""
    if all(table.empty for _, table in frames):  # no table has columns
        return list(frames)
    wanted = columns_named(columns, [name for _, table in frames for name in table.columns])
    return [
        (section, table[[n for n in table.columns if n in LABELS or n in wanted]])
        for section, table in frames
    ]


def _beside(stored: list[Section], store: Store, pack: Pack | None) -> list[tuple[Section, Beside]]:
    """Return what each section with finished cells has beside a pack, if there is one."""
    return [(section, beside(section, store, pack)) for section in stored if section.rows] if pack else []


def _as_shown(stored: list[Section], view: View) -> list[Section]:
    """Return the sections with families merged, which have one table by method, and else one a member."""
    if view == "class":
        check_classes(stored)
    return merged(stored) if view == "method" else stored
