"""The rows that a report is to have, where the user names them."""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from shlex import quote

from flatqat.bench.records.sections import (
    RowKey,
    Section,
    bits_alone,
    how_made,
    is_latest,
    method_alone,
    names_of,
    row_key,
    row_label,
)
from flatqat.errors import UsageError, listed, unknown
from flatqat.spec import QuantSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Names of rows, with the wildcards * and ?; none stand for all.

    Attributes:
        methods: Methods with all their settings (`anchor`), or the names of rows (`anchor(strength=0.3)`).
        bits: Bit widths as `bench run` takes them (`4`, `w4a4`, `4@apot`), or as tables have them. Full
            precision, which others are compared with, stays whatever they are.
    """

    methods: tuple[str, ...] = ()
    bits: tuple[str, ...] = ()

    @property
    def options(self) -> str:
        """The choice as options of a command, empty without one."""
        given = {"method": self.methods, "bits": self.bits}
        return " ".join(f"--{name} {quote(','.join(names))}" for name, names in given.items() if names)


def chosen(
    sections: Sequence[Section], choice: Choice, revisions: Callable[[], Sequence[Section]] = list
) -> list[Section]:
    """Return the sections with the rows that are chosen alone, without those that have none.

    The scatter over seeds is then pooled over these, see `Section.pools_fewer`. Raises UsageError on a name
    that no row has, which may be that of an older row in what `revisions` returns, sections with all of them,
    and if no row has a method and bits together.
    """
    if not choice.options:
        return list(sections)
    records = [r for s in sections for row in (*s.rows.values(), s.problems) for r in row]
    every = {*(key for s in sections for key in s.rows), *(row_key(r.cell) for r in records)}
    _check_methods(choice.methods, every, revisions)
    _check_bits(choice.bits, {key[1] for key in every})
    found = [_of_section(section, choice) for section in sections]
    kept = [section for section in found if section.rows or section.problems]
    if not kept:
        rows = listed(sorted(map(row_label, every)), 12)
        raise UsageError(f"{choice.options}: expected rows of both, got none; there are: {rows}")
    return kept


def _of_section(section: Section, choice: Choice) -> Section:
    rows = {
        key: records
        for key, records in section.rows.items()
        if _is_chosen(key, choice, is_reference=records[0].protocol.reference)
    }
    problems = [record for record in section.problems if _is_chosen(row_key(record.cell), choice)]
    how = how_made(rows, section.older, choice.options)
    fewer = len(rows) < len(section.rows)
    return replace(section, protocol=how, rows=rows, problems=problems, chosen=choice.options, fewer=fewer)


def _is_chosen(key: RowKey, choice: Choice, *, is_reference: bool = False) -> bool:
    of_method = not choice.methods or any(_matches(m, text) for m in choice.methods for text in _methods(key))
    of_bits = is_reference or not choice.bits or any(_has_bits(b, key[1]) for b in choice.bits)
    return of_method and of_bits


def _methods(key: RowKey) -> tuple[str, ...]:
    """Return the names of a row, and of its method alone."""
    return *names_of(key[0]), method_alone(key[0])


def _matches(pattern: str, text: str) -> bool:
    return pattern == text or fnmatchcase(text, pattern)


def _has_bits(bits: str, text: str) -> bool:
    """Whether bits as `bench run` takes them, or as tables have them, are those of a row."""
    return any(_matches(_spelled(bits), one) for one in (text, bits_alone(text)))


def _spelled(bits: str) -> str:
    """Return bits as rows have them: `4` of `w4a4`; anything else as it is."""
    try:
        return str(QuantSpec.parse(bits))
    except UsageError:
        return bits


def _check_methods(
    names: Sequence[str], shown: Set[RowKey], revisions: Callable[[], Sequence[Section]]
) -> None:
    for name in names:
        if not _named(name, shown):
            hidden = {key for section in revisions() for key in section.rows} - shown
            if found := _named(name, hidden):
                what = "the latest revision by name" if all(map(is_latest, found)) else "an older revision"
                raise UsageError(f"method {name!r}: {what}; add --all-revisions")
            raise unknown("method", name, {text for key in shown for text in _methods(key)})


def _named(name: str, keys: Set[RowKey]) -> list[str]:
    """Return the labels of the rows that a name stands for."""
    return [key[0] for key in keys if any(_matches(name, text) for text in _methods(key))]


def _check_bits(names: Sequence[str], known: set[str]) -> None:
    for name in names:
        if not any(_has_bits(name, text) for text in known):
            raise unknown("bits", name, known)
