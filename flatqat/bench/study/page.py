"""The page of a study as Markdown: the answers first, then tables, then how it was made."""

from collections.abc import Sequence
from pathlib import Path

from flatqat.bench.records.escape import markdown_line
from flatqat.bench.records.files import is_special, write_output
from flatqat.bench.records.sections import Section
from flatqat.bench.records.store import Store
from flatqat.bench.study.correlations import QUESTIONS, Association, Question, associations, spaces
from flatqat.bench.study.provenance import how_it_was_made
from flatqat.bench.study.scatter import scatter
from flatqat.bench.study.sentences import (
    bits_in_markdown,
    by_family,
    cost,
    does_flat_help,
    id_and_gap,
    who_wins,
)
from flatqat.bench.study.study import Study, studied
from flatqat.bench.study.tables import family_table, flatness_table, main_table, rho_table
from flatqat.errors import UsageError

LINKS = ("#how-it-was-made", "https://flatqat.github.io/flatqat/measures/")  # all others would be a record's
HEADLINE = QUESTIONS[:2]


def study_page(
    studies: Sequence[tuple[Section, Sequence[Study]]], store: Store, picture: str | None = None
) -> str:
    """Return the page of all studies; `picture` is the file beside it that shows the first section.

    The same store gives the same bytes.
    """
    pages = [
        _section(section, members, store, None if place else picture)
        for place, (section, members) in enumerate(studies)
    ]
    links = (*LINKS, *([picture] if picture else []))
    return "\n".join(markdown_line(line, links) for line in "\n\n".join(pages).split("\n")) + "\n"


def write_study(sections: Sequence[Section], store: Store, against: str, output: Path) -> None:
    """Write the page and, if flatness was measured, its picture beside it; a pipe has none beside it.

    Raises StoreError, or UsageError if the page would have the name of the picture.
    """
    picture = output.with_suffix(".svg")
    if picture == output:
        raise UsageError(f"--output: expected a file such as study.md, got {output}, the picture's name")
    studies = studied(sections, store, against)
    svg = None if is_special(output) else scatter(studies[0][1])
    if svg:
        write_output(picture, svg)
    write_output(output, study_page(studies, store, picture.name if svg else None).encode())


def _section(section: Section, members: Sequence[Study], store: Store, picture: str | None) -> str:
    answers = {study.bits: associations(study) for study in members}
    asked = "Which methods win under shift, and does flatness correlate with OOD accuracy?"
    lines = [f"# {asked} {section.title}", ""]
    for study in members:
        lines += [f"- **{bits_in_markdown(study)}, which methods win.** {who_wins(study)}"]
        for question in HEADLINE:
            answer = _all_spaces(study, answers[study.bits], question)
            asked = f"does flatness correlate with {question.title}?"
            lines += [f"- **{bits_in_markdown(study)}, {asked}** {answer}"]
    lines += ["", f"Every number and sentence is computed from the records of `{store.root.name}`; "
              "[how it was made](#how-it-was-made) has settings, limits and commands."]  # fmt: skip
    if picture:
        alt = f"OOD top-1 against the mean rise of the loss, {section.title}"
        lines += ["", f"![{alt}]({picture})"]
    for study in members:
        lines += ["", *_bit_width(study, answers[study.bits])]
    lines += ["", *how_it_was_made(section, members, store)]
    return "\n".join(lines)


def _bit_width(study: Study, answers: Sequence[Association]) -> list[str]:
    """Return everything about one bit-width as lines."""
    lost = [cost(study), ""] if cost(study) else []
    lines = [f"## {bits_in_markdown(study)}", "", "### Which methods win where", "", *lost]
    lines += [id_and_gap(study), "", *main_table(study), ""]
    if study.family_names:
        lines += ["### By family of shifts", "", by_family(study), "", *family_table(study), ""]
    lines += ["### Does flatness correlate with OOD?", ""]
    return lines + _flatness(study, answers)


def _flatness(study: Study, answers: Sequence[Association]) -> list[str]:
    if not answers:
        return ["Flatness was not measured."]
    lines = [f"- **{question.title}.** {_all_spaces(study, answers, question)}" for question in QUESTIONS]
    return [*lines, "", *rho_table(study, answers), "", "### How flat", "", *flatness_table(study)]


def _all_spaces(study: Study, answers: Sequence[Association], question: Question) -> str:
    sentences = [does_flat_help(answers, space, question) for space in spaces(study)]
    return " ".join(sentences) or "Flatness was not measured."
