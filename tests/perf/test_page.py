"""The page that `python -m perf` writes."""

import json

import pytest

from perf.page import Topic, page, reached, shown, table
from perf.rounds import NOT_INSTALLED, Row, Spread

MISSED = Row.of(
    "QAT / FP",
    Spread(1.5, 1.4, 1.6),
    peers={"Brevitas": NOT_INSTALLED, "torch.ao": Spread(1.7, 1.6, 1.8)},
    goal="≤ 1.15",
)
COUNT = Row(name="waits", value=0, goal="≤ 0")
ABSENT = Row(name="on a GPU", goal="≤ 1.15", note="no CUDA device here")


def test_a_table_has_a_column_for_each_peer_and_says_what_is_missing() -> None:
    assert table([MISSED, COUNT, ABSENT]) == (
        "|  | flatqat | Brevitas | torch.ao | goal |\n"
        "| --- | ---: | ---: | ---: | ---: |\n"
        "| QAT / FP | 1.50 (1.40 – 1.60) | not installed | 1.70 (1.60 – 1.80) | ≤ 1.15 |\n"
        "| waits | 0 |  |  | ≤ 0 |\n"
        "| on a GPU<br>no CUDA device here | not measured |  |  | ≤ 1.15 |\n"
    )


def test_a_count_has_no_quartiles() -> None:
    assert shown(Spread(2, 2, 2)) == "2"
    assert shown(Spread.of([1.234])) == "1.23"
    assert shown(Spread(12345.6, 12000.0, 13000.0)) == "12,346 (12,000 – 13,000)"


@pytest.mark.parametrize(
    ("value", "goal", "expected"),
    [(1.1, "≤ 1.15", True), (1.2, "≤ 1.15", False), (1.4, "≥ 1.4", True), (1.3, "≥ 1.4", False)],
)
def test_goals_are_read_in_both_directions(value: float, goal: str, expected: bool) -> None:
    assert reached(Row(name="", value=value, goal=goal)) is expected


@pytest.mark.parametrize("row", [ABSENT, Row(name="free", value=2.0)])
def test_a_row_without_goal_or_figure_is_neither_reached_nor_missed(row: Row) -> None:
    assert reached(row) is None


def test_the_page_lists_what_is_missed_and_survives_json() -> None:
    topic = Topic(
        about="Steps.\n\nWhat a step is.\n", measured="a machine", rounds=9, rows=[MISSED, COUNT, ABSENT]
    )
    text = page([Topic.from_dict(json.loads(json.dumps(topic.as_dict())))])
    assert text == page([topic])
    assert "## Steps\n\nWhat a step is. 9 rounds.\n\n| " in text
    assert text.endswith(
        "## What is missing\n\n"
        "Goals that are not reached:\n\n- QAT / FP: 1.50, goal ≤ 1.15\n\n"
        "Peers that are ahead:\n\n- none\n\n"
        "Not measured:\n\n- QAT / FP, Brevitas: not installed\n- on a GPU: no CUDA device here\n"
    )


def test_a_topic_says_on_which_of_several_machines_it_was_measured() -> None:
    steps = Topic(about="Steps.\n\nWhat a step is.\n", measured="a machine", rounds=9, rows=[COUNT])
    looks = Topic(about="Looks.\n\nWhat a look is.\n", measured="another", rounds=1, rows=[COUNT])
    text = page([steps, looks])
    assert "- Machine A: a machine.\n- Machine B: another.\n" in text
    assert "What a step is. 9 rounds. Measured on machine A.\n" in text
    assert "What a look is. Measured on machine B.\n" in text


@pytest.mark.parametrize(
    ("value", "goal", "line"),
    [
        (1.1, "≤ 1.15", "ours: flatqat 1.10, other 1"),
        (1.1, "", "ours: flatqat 1.10, other 1"),
        (1.2, "≥ 1", "ours: flatqat 1.20, torch 1.80"),
        (0.9, "≤ 1.15", "none"),
        (1.001, "≤ 1.15", "none"),
    ],
)
def test_the_page_names_peers_that_are_ahead(value: float, goal: str, line: str) -> None:
    peers = {"torch": Spread.of([1.8]), "other": Spread.of([1.0])}
    row = Row(name="ours", value=value, peers=peers, goal=goal)
    text = page([Topic(about="A.\n\nB.", measured="", rounds=1, rows=[row])])
    assert f"Peers that are ahead:\n\n- {line}\n\nNot" in text
    assert "## A\n\nB.\n\n| " in text


def test_a_row_that_was_not_measured_has_no_peers_ahead() -> None:
    row = Row(name="ours", peers={"torch": Spread.of([1.8])}, goal="≤ 2", note="no memory")
    text = page([Topic(about="A.\n\nB.", measured="", rounds=1, rows=[row])])
    assert text.endswith("ahead:\n\n- none\n\nNot measured:\n\n- ours: no memory\n")
