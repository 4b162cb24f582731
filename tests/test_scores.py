"""The scores of a record in columns, against reading and looking up each one."""

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated

import pytest

from flatqat.spec import Cell, FieldError, Score, Scores
from flatqat.spec.reading import from_plain, to_plain
from flatqat.spec.scores import SCORES
from flatqat.spec.shared import SHARED


def plain(seed: int = 0) -> dict:
    rng = random.Random(seed)
    return {
        shift: {
            metric: {
                "n": n,
                "stderr": rng.choice([None, rng.random()]),
                "value": rng.choice([None, rng.random()]),
            }
            for metric in ("ece", "nll", "top1", *(["top1_unmasked"] if shift == "fog/1" else []))
        }
        for shift, n in (("val", 10), ("id", 300), ("fog/1", 300))
    }


@pytest.mark.parametrize("seed", range(5))
def test_columns_hold_what_single_scores_do(seed):
    data = plain(seed)
    slow, fast = from_plain(SCORES, data), Scores.read(data)
    assert fast == slow == Scores.of(slow)
    assert list(fast) == list(slow)
    assert to_plain(fast) == data
    assert fast["id"]["nll"] == slow["id"]["nll"]
    shifts = ["fog/1", "id"]
    assert fast.values_of("top1", shifts) == [slow[shift]["top1"].value for shift in shifts]
    assert fast.counts_of("ece") == {"val": 10, "id": 300, "fog/1": 300}
    assert {shift: list(names) for shift, names in fast.metrics.items()} == {
        s: list(m) for s, m in data.items()
    }


def test_whole_numbers_may_stand_for_others():
    data = {"id": {"top1": {"n": 1, "stderr": 2, "value": 100}}}
    assert Scores.read(data) == from_plain(SCORES, data)


def test_no_scores_are_scores():
    assert Scores.read({}) == {}


def wrong(**change: object) -> dict:
    return {"id": {"top1": {"n": 3, "stderr": None, "value": 1.0, **change}}}


@pytest.mark.parametrize(
    "data",
    [
        *(wrong(n=n) for n in (None, 1.0, True, "3", 2**63)),
        *(wrong(value=value) for value in ("1", True, float("nan"), float("inf"), [], 2**63)),
        *(wrong(stderr=stderr) for stderr in ("1", False, float("inf"), {})),
        wrong(more=1),
        {"id": {"top1": {"n": 3, "value": 1.0}}},
        {"id": {"top1": 3}},
        {"id": [1]},
        {"id": None},
        [],
        None,
        "text",
    ],
    ids=repr,
)
def test_what_is_no_score_is_refused_as_by_reading_each(data):
    with pytest.raises(FieldError) as slow:
        from_plain(SCORES, data)
    with pytest.raises(FieldError) as fast:
        Scores.read(data)
    assert str(fast.value) == str(slow.value)


def test_records_of_one_suite_share_the_names_of_their_scores():
    one, other = Scores.read(plain(0)), Scores.read(plain(1))
    assert one.metrics is other.metrics


def test_a_score_is_made_when_it_is_looked_up(monkeypatch):
    scores = Scores.read(plain())
    made = []
    monkeypatch.setattr("flatqat.spec.scores.Score", lambda **fields: made.append(fields) or Score(**fields))
    assert len(scores.values_of("nll", list(scores))) == 3
    assert not made
    assert isinstance(scores["id"], Mapping)
    assert len(made) == 3


def test_equal_parts_of_records_are_read_once_and_numbers_of_other_types_are_not_equal():
    kind = Annotated[Mapping[str, int], SHARED]
    first = from_plain(kind, {"a": 1})
    assert from_plain(kind, {"a": 1}) is first
    for other in (True, 1.5, "1"):
        with pytest.raises(FieldError, match=r"a: expected a whole number"):
            from_plain(kind, {"a": other})
    assert from_plain(Annotated[float | None, SHARED], None) is None


def test_the_id_of_a_cell_is_computed_once_and_no_part_of_it(monkeypatch):
    cell = Cell(suite="s", suite_version=1, model="m", method="qat", quant="4", recipe="r", seed=0)
    other = replace(cell)
    assert cell.id == other.id
    assert cell == other
    assert "_id" not in cell.to_dict()
    monkeypatch.setattr("flatqat.spec.cell._digest", lambda value: pytest.fail("computed again"))
    assert cell.label.endswith(cell.id)
    monkeypatch.undo()
    assert replace(cell, seed=1).id != cell.id
