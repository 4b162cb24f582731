"""Runs that are killed at any rename of a rerun, and runs that share a folder: no result is lost or mixed."""

import os
import random
import shutil
import signal
import time
import traceback
from pathlib import Path

import pytest

from flatqat import registry
from flatqat.bench.engine import pieces, recording
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.records.paired import outcomes_of
from flatqat.bench.records.store import Store
from flatqat.errors import StoreError, Vanished
from flatqat.spec import Record
from tests.helpers import TOY
from tests.helpers.running import run_plan


@pytest.fixture(autouse=True)
def toy() -> None:
    registry.add_plugin(TOY)


def run(folder: Path, *, rerun: bool = False, limit: int = 40, **options) -> list[Record]:
    defaults = {"methods": ("fp",), "bits": ("4",), "seeds": (0,), "spaces": ()}
    request = Request(suites=("toy",), results=folder, rerun=rerun, limit=limit, **{**defaults, **options})
    return run_plan(make_plan(request))


def in_child(work) -> int:
    """Call `work` in a process of its own; returns its exit code, negative for a signal."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def ended(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def other_images(folder: Path) -> None:
    """Turn the outcomes and scores that are stored into those of another run, which are others."""
    store = Store(folder)
    (record,) = store.records()
    arrays = store.outcomes(record.cell)
    flipped = {key: -array if key.endswith("margin") else array for key, array in arrays.items()}
    store.write_record(record, flipped)


def test_a_rerun_that_is_killed_at_any_rename_leaves_one_run_or_says_so(tmp_path):
    folder = tmp_path / "first"
    (first,) = run(folder)
    old = {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    replaced, killed, said = os.replace, 0, 0
    for count in range(1, 40):
        copy = tmp_path / str(count)
        shutil.copytree(folder, copy)
        other_images(copy)
        before = Store(copy).outcomes(first.cell)
        left = [count]

        def replace(*args, left=left):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            replaced(*args)

        def killed_rerun(copy=copy, replace=replace):
            os.replace = replace
            run(copy, rerun=True)

        code = ended(in_child(killed_rerun))
        store = Store(copy)
        (record,) = store.records()
        if code == 0:
            break
        assert code == -signal.SIGKILL
        killed += 1
        try:
            kept = store.outcomes(record.cell, sha256=record.outcomes_sha256)
            assert all((kept[key] == before[key]).all() for key in before)
        except StoreError:
            said += 1
            with pytest.raises(StoreError, match=r"outcomes of its record, got others.*run the cell"):
                outcomes_of(record, store)
            assert store.finished(record.cell) is None
            (record,) = run(copy)
            assert (
                store.outcomes_path(record.cell).read_bytes()
                == old[store.outcomes_path(record.cell).relative_to(copy)]
            )
    assert killed >= 7  # weights of parent and cell, four shifts, outcomes, record
    assert said == 1
    assert outcomes_of(record, store)
    assert not list(copy.glob(".work"))


def test_a_cell_that_another_run_finishes_first_is_taken_from_it(tmp_path, monkeypatch):
    """The other run ends, and removes the work, right before this one reads it."""
    done = tmp_path / "done"
    (expected,) = run(done)
    original, reads = recording.assemble, []

    def late(job, request, store, device):
        reads.append(job)
        if len(reads) == 1:
            store.write_record(expected, Store(done).outcomes(job.cell))
            store.drop_work(job.cell)
        return original(job, request, store, device)

    monkeypatch.setattr(recording, "assemble", late)
    (record,) = run(tmp_path / "r")
    assert record == expected
    assert len(reads) == 1
    assert Store(tmp_path / "r").finished(record.cell)
    assert not (tmp_path / "r" / ".work").exists()


def test_a_rerun_beside_another_starts_again_from_what_is_left(tmp_path, monkeypatch):
    (expected,) = run(tmp_path)
    original, reads = recording.assemble, []

    def late(job, request, store, device):
        reads.append(job)
        if len(reads) == 1:
            store.forget_work(job.cell)
        return original(job, request, store, device)

    monkeypatch.setattr(recording, "assemble", late)
    (record,) = run(tmp_path, rerun=True)
    assert (record.scores, record.outcomes_sha256) == (expected.scores, expected.outcomes_sha256)
    assert len(reads) == 2


def test_a_cell_that_is_removed_while_its_flatness_is_measured_is_computed_anew(tmp_path, monkeypatch):
    (first,) = run(tmp_path)
    measure, store, seen = pieces.measure, Store(tmp_path), []

    def removed(lack, session):
        measure(lack, session)
        seen.append(lack.scores)
        if len(seen) == 1:
            store.record_path(first.cell).unlink()

    monkeypatch.setattr(pieces, "measure", removed)
    (record,) = run(tmp_path, spaces=("quantized",))
    assert seen == [False, True]
    assert record.flatness.quantized
    assert record.scores == first.scores


def test_a_file_that_always_vanishes_ends_the_run(tmp_path, monkeypatch):
    def gone(*args):
        raise Vanished("x: found none")

    monkeypatch.setattr("flatqat.bench.engine.sharing.ATTEMPTS", 3)
    monkeypatch.setattr(recording, "assemble", gone)
    with pytest.raises(StoreError, match="found none"):
        run(tmp_path)


def test_processes_that_start_together_all_end_well(tmp_path):
    def work(number: int) -> None:
        time.sleep(random.Random(number).random() / 5)
        records = run(tmp_path, methods=("fp", "qat"), spaces=("quantized",) if number % 2 else ())
        assert [record.status for record in records] == ["done", "done"]

    children = [in_child(lambda number=number: work(number)) for number in range(4)]
    assert [ended(child) for child in children] == [0] * 4
    store = Store(tmp_path)
    assert all(outcomes_of(record, store) for record in store.records())
    assert not list(tmp_path.rglob(".*"))


def test_a_finished_matrix_needs_no_folder_that_can_be_written(tmp_path, monkeypatch):
    records = run(tmp_path)

    def refused(*args, **options):
        raise AssertionError("something was written")

    for name in ("mkdir", "replace", "open", "unlink"):
        monkeypatch.setattr(os, name, refused)
    assert run(tmp_path) == records


@pytest.fixture
def trained(monkeypatch) -> list[str]:
    """The methods of all trainings."""
    methods, train = [], pieces.train

    def counted(job, session):
        methods.append(job.cell.method)
        train(job, session)

    monkeypatch.setattr(pieces, "train", counted)
    return methods


def test_a_rerun_that_is_killed_before_it_has_forgotten_does_not_keep_others_from_it(
    tmp_path, monkeypatch, trained
):
    """What is noted as forgotten is gone: else others would take old weights for new ones."""
    (first,) = run(tmp_path)
    store, forget = Store(tmp_path), Store.forget_work
    trained.clear()

    def killed(self, cell):
        monkeypatch.setattr(Store, "forget_work", forget)
        raise KeyboardInterrupt

    with store.claims():  # a run beside it, which keeps the notes
        monkeypatch.setattr(Store, "forget_work", killed)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, rerun=True)
        (record,) = run(tmp_path, rerun=True)
    assert trained == ["pretrain", "fp"]
    assert record.scores == first.scores


def test_a_rerun_beside_a_run_that_has_finished_its_cells_computes_them_anew(tmp_path, trained):
    (first,) = run(tmp_path, spaces=("quantized",))
    trained.clear()
    store, cell_id = Store(tmp_path), first.cell.id
    with store.claims() as claims:
        claims.note(cell_id)
        claims.note(f"flatness-{cell_id}")
        claims.note(f"trouble-{cell_id}", '["failed", "out of memory"]')
        (record,) = run(tmp_path, rerun=True, spaces=("quantized",))
    assert trained == ["pretrain", "fp"]
    assert record.status == "done"
    assert record.last_run > first.last_run
    assert store.has_weights(record.cell)


def test_a_parent_that_lost_its_weights_after_its_record_is_trained_again(tmp_path, trained):
    (parent,) = run(tmp_path)
    trained.clear()
    store = Store(tmp_path)
    with store.claims() as claims:
        claims.note(parent.cell.id)
        store.drop_weights(parent.cell.training_id)
        (record,) = run(tmp_path, methods=("ptq",))
    assert trained == ["ptq", "fp", "ptq"]  # the first one finds that they are gone
    assert record.status == "done"
