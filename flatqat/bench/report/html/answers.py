"""What the study of a section answers: which methods win, and whether flatness correlates with OOD."""

from collections.abc import Sequence
from dataclasses import dataclass

from flatqat.bench.records.paired import metric_of, ood_shifts
from flatqat.bench.records.sections import RowKey, Section, bits_in_words
from flatqat.bench.records.store import Store
from flatqat.bench.study.correlations import QUESTIONS, associations, spaces
from flatqat.bench.study.sentences import does_flat_help, who_wins
from flatqat.bench.study.study import METRIC, Study, studies


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Sentences of a study with the bits that they are about; names are between backticks."""

    who_wins: Sequence[tuple[str, str]] = ()
    flatness: Sequence[tuple[str, str]] = ()


NONE = Answers()


def answers(section: Section, store: Store, against: str, without_outcomes: Sequence[RowKey]) -> Answers:
    """Return the answers; none for a section that no study is possible of.

    That is one of another metric, without shifts to average, with rows `without_outcomes`, or without the
    method `against` and another at the same bits.
    """
    records = [record for row in section.rows.values() for record in row]
    if without_outcomes or not all(metric_of(r).name == METRIC and ood_shifts(r) for r in records):
        return NONE
    members = studies(section, store, against)
    return Answers(
        who_wins=[(bits_in_words(study.bits), who_wins(study)) for study in members],
        flatness=[(bits_in_words(study.bits), _flatness(study)) for study in members if spaces(study)],
    )


def _flatness(study: Study) -> str:
    found = associations(study)
    return " ".join(does_flat_help(found, space, QUESTIONS[0]) for space in spaces(study))
