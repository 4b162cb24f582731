"""The page of a study as Markdown: the answers first, then tables, then how it was made.

A pure function of the records and their outcomes; the same store gives the same bytes.
"""

from collections.abc import Sequence
from pathlib import Path

from flatqat.bench.records.sections import Section
from flatqat.bench.records.store import Store, write_atomically
from flatqat.bench.study.correlations import QUESTIONS, Association, Question, associations, spaces
from flatqat.bench.study.provenance import how_it_was_made
from flatqat.bench.study.scatter import scatter
from flatqat.bench.study.sentences import bits_in_words, by_family, cost, does_flat_help, id_and_gap, who_wins
from flatqat.bench.study.study import Study, studied
from flatqat.bench.study.tables import family_table, flat_table, main_table, rho_table

HEADLINE = (QUESTIONS[0], QUESTIONS[2])


def study_page(
    found: Sequence[tuple[Section, Sequence[Study]]], store: Store, picture: str | None = None
) -> str:
    """The page over all that is studied; `picture` is the file beside it that shows the first section."""
    pages = [
        _section(section, members, store, None if place else picture)
        for place, (section, members) in enumerate(found)
    ]
    return "\n\n".join(pages) + "\n"


def write_study(found: Sequence[Section], store: Store, against: str, output: Path) -> None:
    """Write the page and, where flatness was measured, its picture beside it. Raises StoreError."""
    whole = studied(found, store, against)
    drawn, picture = scatter(whole[0][1]), output.with_suffix(".svg")
    if drawn:
        write_atomically(picture, drawn)
    write_atomically(output, study_page(whole, store, picture.name if drawn else None).encode())


def _section(section: Section, members: Sequence[Study], store: Store, picture: str | None) -> str:
    flat = {study.bits: associations(study) for study in members}
    lines = [f"# Who wins under shift, and does flat go with it? {section.title}", ""]
    for study in members:
        lines += [f"- **{bits_in_words(study)}, who wins.** {who_wins(study)}"]
        for question in HEADLINE:
            says = _all_spaces(study, flat[study.bits], question)
            lines += [f"- **{bits_in_words(study)}, does flat go with {question.title}?** {says}"]
    lines += ["", f"Every number and sentence is computed from the records of `{store.root.name}`; "
              "[how it was made](#how-it-was-made) has settings, limits and commands."]  # fmt: skip
    if picture:
        alt = f"OOD top-1 against the mean rise of the loss, {section.title}"
        lines += ["", f"![{alt}]({picture})"]
    for study in members:
        lines += ["", *_one(study, flat[study.bits])]
    lines += ["", *how_it_was_made(section, members, store)]
    return "\n".join(lines)


def _one(study: Study, flat: Sequence[Association]) -> list[str]:
    """Everything about one bit-width."""
    return [
        f"## {bits_in_words(study)}",
        "",
        "### Who wins where",
        "",
        *([cost(study), ""] if cost(study) else []),
        id_and_gap(study),
        "",
        *main_table(study),
        "",
        "### By family of shifts",
        "",
        by_family(study),
        "",
        *family_table(study),
        "",
        "### Does flat go with OOD?",
        "",
        *_flat(study, flat),
    ]


def _flat(study: Study, flat: Sequence[Association]) -> list[str]:
    if not flat:
        return ["Flatness was not measured."]
    says = [f"- **{question.title}.** {_all_spaces(study, flat, question)}" for question in QUESTIONS]
    return [*says, "", *rho_table(study, flat), "", "### How flat", "", *flat_table(study)]


def _all_spaces(study: Study, flat: Sequence[Association], question: Question) -> str:
    says = [does_flat_help(flat, space, question) for space in spaces(study)]
    return " ".join(says) or "Flatness was not measured."
