"""A run says which cell it is at, about how long all the rest takes, and what was stored before it."""

import os
import re
from dataclasses import replace

import pytest

from flatqat.bench.engine.countdown import Countdown
from flatqat.bench.engine.pieces import Measuring, Share, pieces_of
from flatqat.bench.engine.troubles import Troubles
from flatqat.bench.engine.workload import training_work
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.console.progress import PlainProgress
from tests.helpers.running import run_plan, session_of


def plan_of(results, **changes):
    fields = {
        "suites": ("toy",),
        "methods": ("fp", "qat"),
        "bits": ("3",),
        "seeds": (0,),
        "spaces": (),
        "results": results,
    }
    return make_plan(Request(**{**fields, **changes}))


def test_what_is_left_is_in_proportion_to_what_was_done(tmp_path):
    """Pretraining takes 30 steps of 32 images, fp and qat 12 each; a gradient is 4 forward passes."""
    said, times = [], iter([0.0, 30.0, 42.0, 54.0])
    plan = plan_of(tmp_path)
    session = session_of(plan.request)
    todo = session.lacking(plan)
    with session.store.claims() as claims:
        share = Share(session=session, troubles=Troubles(session.progress), claims=claims)
        pieces = pieces_of(todo, share)
    countdown = Countdown(PlainProgress(said.append), lambda: next(times))
    for at in range(4):
        countdown.ahead = sum(piece.work for piece in pieces[at:])
        countdown.say(pieces[at].title)
    images = 2 * 4 * 96  # of two cells: val, id and two shifts
    a_step = 32 * 4
    left = [(steps * a_step + images) / a_step for steps in (24, 12, 0)]
    assert said == [
        "network 1 of 3: tiny pretrain fp seed 0",
        f"network 2 of 3: tiny fp seed 0, about {round(left[0])} s left in all",
        f"network 3 of 3: tiny qat 3 seed 0, about {round(left[1])} s left in all",
        f"score 2 cells of toy, about {left[2]:.1f} s left in all",
    ]


@pytest.mark.parametrize(("coupling", "passes"), [("ema", 1), ("dual", 2)])
def test_the_work_of_a_training_is_that_of_its_passes(tmp_path, coupling, passes):
    plan = plan_of(tmp_path, methods=("anchor",), settings={"anchor": {"coupling": coupling}})
    session = session_of(plan.request)
    lack = session.lacking(plan)[-1]
    assert training_work(lack, session) == 12 * 32 * 4 * passes


@pytest.mark.parametrize(
    ("settings", "images"), [({}, 64 * 2 * 16), ({"iterations": "5"}, 5 * 16), ({"iterations": "0"}, 0)]
)
def test_the_work_of_adaround_is_that_of_its_iterations(tmp_path, settings, images):
    """Of 64 epochs over two batches of 16 images, which are all that an iteration can see, unless given."""
    recipe = {"calibration_batches": "2", "batch_size": "16"}
    plan = plan_of(tmp_path, methods=("adaround",), settings={"adaround": settings, "recipe": recipe})
    session = session_of(plan.request)
    lack = session.lacking(plan)[-1]
    assert lack.job.cell.method == "adaround"
    assert training_work(lack, session) == 4 * images


def test_where_a_job_takes_its_turn_is_said_once(tmp_path):
    """At its first piece, also where its method takes no step."""
    plan = plan_of(tmp_path, methods=("ptq",), spaces=("quantized",))
    session = session_of(plan.request)
    with session.store.claims() as claims:
        share = Share(session=session, troubles=Troubles(session.progress), claims=claims)
        titles = [piece.title for piece in pieces_of(session.lacking(plan), share) if piece.title]
    assert titles == [
        "network 1 of 3: tiny pretrain fp seed 0",
        "network 2 of 3: tiny fp seed 0",
        "network 3 of 3: tiny ptq 3 seed 0",
    ]


def test_what_an_interrupted_run_stored_is_not_ahead(tmp_path):
    """Neither weights nor flatness nor the scores of single shifts, unless the cells are computed anew."""
    plan = plan_of(tmp_path, methods=("qat",), spaces=("quantized",))
    session = session_of(plan.request)
    todo = session.lacking(plan)

    def pieces_and_work(claims, rerun=False):
        request = replace(plan.request, rerun=rerun)
        share = Share(
            session=replace(session, request=request), troubles=Troubles(session.progress), claims=claims
        )
        pieces = pieces_of(todo, share)
        return pieces, [piece.work for piece in pieces]

    with session.store.claims() as claims:
        pieces, before = pieces_and_work(claims)
        assert all(before)
        *first, scoring = pieces
        for piece in first:
            piece.run()
        assert scoring.do(Countdown(session.progress))
        pieces, after = pieces_and_work(claims)
        assert after == [0.0] * len(before)
        assert not any(piece.title for piece in pieces if isinstance(piece, Measuring))
        (job,) = plan.scored()
        session.store._scores_path(job.cell, "id").unlink()
        images = len(job.suite.scored[0].build(None))
        assert pieces_and_work(claims)[1] == [*[0.0] * len(first), float(images)]
        assert pieces_and_work(claims, rerun=True)[1] == before


def test_a_run_counts_its_cells_and_what_was_stored(tmp_path):
    said = []
    run_plan(plan_of(tmp_path), PlainProgress(said.append))
    counted = [line for line in said if re.match(r"network \d of \d: ", line)]
    assert [line[:14] for line in counted] == ["network 1 of 3", "network 2 of 3", "network 3 of 3"]
    assert "left in all" in counted[-1]
    assert not any("stored in" in line for line in said)
    said.clear()
    run_plan(plan_of(tmp_path, methods=("fp", "qat", "sam")), PlainProgress(said.append))
    assert said[0] == f"2 of 3 cells stored in {tmp_path}"
    said.clear()
    run_plan(plan_of(tmp_path, methods=("fp", "qat", "sam")), PlainProgress(said.append))
    assert said == [f"3 of 3 cells stored in {tmp_path}; nothing to do"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes into any folder")
def test_a_finished_matrix_needs_no_folder_that_can_be_written(flatqat, tmp_path):
    options = ("bench", "run", "--suite", "toy", "--method", "fp", "--results", tmp_path, "--device", "cpu")
    assert flatqat(*options).code == 0
    folders = [tmp_path, *(path for path in tmp_path.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        assert flatqat(*options).code == 0
        assert flatqat(*options, "--seeds", "2").code == 2
    finally:
        for folder in folders:
            folder.chmod(0o755)


def test_a_finished_matrix_writes_nothing(tmp_path, monkeypatch):
    run_plan(plan_of(tmp_path))
    for name in (
        "records.store.Store.write_record",
        "records.store.Store.write_data",
        "engine.preflight.check_writable",
    ):
        monkeypatch.setattr(f"flatqat.bench.{name}", lambda *args: pytest.fail("written"))
    assert [record.status for record in run_plan(plan_of(tmp_path))] == ["done", "done"]
