"""Progress is told where every cell is, and with its end the scores of its record, whoever wrote that."""

from contextlib import contextmanager
from statistics import fmean

import pytest

from flatqat.bench.engine import pieces
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.records.store import Store
from flatqat.console.board import UNKNOWN
from flatqat.console.progress import PlainProgress, Progress
from tests.helpers.running import run_plan
from tests.helpers.slow import slow


class Told(Progress):
    """Keeps what is told of cells."""

    def __init__(self) -> None:
        self.rows, self.events, self.doings = {}, [], []

    @contextmanager
    def cells(self, rows):
        self.rows = {row.key: row for row in rows}
        yield

    def cell(self, key, state, scores=UNKNOWN):
        self.events.append((key, state, scores))

    @contextmanager
    def task(self, description, total, doing=None):
        self.doings.append((doing.what, set(doing.keys)))
        yield lambda n: None

    def of(self, key: str) -> list[str]:
        """What is told of a cell, without what is told again."""
        return list(dict.fromkeys(state for name, state, _ in self.events if name == key))

    def ends(self) -> dict[str, tuple]:
        return {
            key: (state, scores)
            for key, state, scores in self.events
            if state in ("done", "failed", "skipped")
        }


def request(results, **changes) -> Request:
    fields = {
        "suites": ("toy",),
        "methods": ("fp", "qat"),
        "bits": ("3",),
        "seeds": (0, 1),
        "results": results,
    }
    return Request(**{**fields, **changes})


def go(results, progress=None, **changes) -> None:
    run_plan(make_plan(request(results, **changes)), progress)


def stored(results) -> dict[str, tuple]:
    """The ends of all cells by their records: ID, and the mean over all shifts that count."""
    ends = {}
    for record in Store(results).records():
        tops = {name: scores["top1"].value for name, scores in record.scores.items()}
        ood = [tops[name] for name, shift in record.protocol.shifts.items() if shift.in_mean and name != "id"]
        ends[record.cell.id] = ("done", (tops["id"], pytest.approx(fmean(ood), abs=1e-9)))
    return ends


@pytest.mark.parametrize("jobs", [2, *slow(1)])
def test_every_cell_is_followed_to_the_scores_of_its_record(tmp_path, jobs):
    told = Told()
    go(tmp_path, told, jobs=jobs)
    ends = stored(tmp_path)
    assert len(ends) == 4
    assert told.ends() == ends
    for key, row in told.rows.items():
        steps = (
            ["starting", "trained", "measured", "scored", "done"] if row.scored else ["starting", "trained"]
        )
        assert (row.state, row.scores) == ("waiting", UNKNOWN)
        assert sorted(told.of(key)) == sorted(steps)
        assert jobs > 1 or told.of(key) == steps
        early = [scores for name, state, scores in told.events if name == key and state == "trained"]
        assert not row.scored or (ends[key][1][0], None) in early, "ID is known before the end"
        assert ("training", {key}) in told.doings
    assert ("scoring", set(ends)) in told.doings
    assert ("measuring", {next(iter(ends))}) in told.doings
    assert [row.title for row in told.rows.values()][:3] == [
        "tiny pretrain fp seed 0", "tiny fp seed 0", "tiny qat 3 seed 0",
    ]  # fmt: skip
    assert {row.labels for row in told.rows.values()} == {
        ("toy", "tiny", "pretrain", "fp"), ("toy", "tiny", "fp", "fp"), ("toy", "tiny", "qat", "3"),
    }  # fmt: skip


def test_what_was_stored_before_is_there_from_the_beginning(tmp_path):
    go(tmp_path, seeds=(0,), spaces=())
    before, told = stored(tmp_path), Told()
    go(tmp_path, told, spaces=())
    assert {key: (row.state, row.scores) for key, row in told.rows.items() if row.state == "done"} == before
    assert told.ends().keys() == stored(tmp_path).keys() - before.keys()


def test_what_another_run_has_finished_is_told_too(tmp_path, monkeypatch):
    train, told = pieces.train, Told()

    def train_(job, session):
        monkeypatch.setattr(pieces, "train", train)
        go(tmp_path, seeds=(1,), spaces=())
        train(job, session)

    monkeypatch.setattr(pieces, "train", train_)
    go(tmp_path, told, spaces=())
    assert told.ends() == stored(tmp_path)
    assert len(told.ends()) == 4


def test_cells_that_fail_and_those_that_start_from_them_are_told(tmp_path, monkeypatch):
    train, told, said = pieces.train, Told(), []

    def train_(job, session):
        if job.cell.method == "pretrain":
            raise ZeroDivisionError("no luck")
        train(job, session)

    monkeypatch.setattr(pieces, "train", train_)
    go(tmp_path, told, seeds=(0,), spaces=())
    states = {told.rows[key].title: end for key, end in told.ends().items()}
    assert states == {
        "tiny pretrain fp seed 0": ("failed", UNKNOWN),
        "tiny fp seed 0": ("skipped", UNKNOWN),
        "tiny qat 3 seed 0": ("skipped", UNKNOWN),
    }
    go(tmp_path, PlainProgress(said.append), seeds=(0,), spaces=())
    assert sorted(line for line in said if line.startswith(("skipped", "failed tiny"))) == [
        "skipped tiny fp seed 0 (1 of 2)",
        "skipped tiny qat 3 seed 0 (2 of 2)",
    ]


def test_plain_lines_have_the_scores_of_the_records(tmp_path):
    said: list[str] = []
    go(tmp_path, seeds=(0,), methods=("fp",), spaces=())
    go(tmp_path, PlainProgress(said.append), seeds=(0,), spaces=())
    (record,) = (record for record in Store(tmp_path).records() if record.cell.method == "qat")
    known, ood = stored(tmp_path)[record.cell.id][1]
    expected = f"done tiny qat 3 seed 0: top-1 {known:.1f}, OOD {ood.expected:.1f} (2 of 2)"
    assert [line for line in said if line.startswith("done ")] == [expected]


def test_values_of_a_sweep_over_the_recipe_have_names_of_their_own(tmp_path):
    told = Told()
    go(tmp_path, told, seeds=(0,), spaces=(), methods=("qat",), settings={"recipe": {"lr": "0.01,0.03"}})
    names = {row.labels[2] for row in told.rows.values() if row.scored}
    assert names == {"qat, lr=0.01", "qat, lr=0.03"}
