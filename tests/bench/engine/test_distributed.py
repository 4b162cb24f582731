"""Runs whose cells several processes train together, against those of one process."""

import pytest
import torch
from safetensors.torch import load_file

from flatqat import registry
from flatqat.bench.engine import distributed, train
from flatqat.bench.engine.run import run
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.ranks.place import Place
from flatqat.bench.records.store import Store
from flatqat.console.progress import PlainProgress
from flatqat.errors import UsageError, Vanished
from tests.helpers.ranks_runs import forked
from tests.helpers.running import session_of
from tests.helpers.slow import slow

METHODS = ("fp", "qat", "ptq")
FAILING = """from flatqat.methods.qat import QAT


class Failing(QAT):
    '''Fails in its third step.'''

    def step(self, x, y):
        if self.steps_done == 2:
            raise ValueError("as it should")
        return super().step(x, y)


METHOD = Failing
"""
NEAR = 1e-9
"""Double precision: sums in another order differ by 1e-16. In float32 they differ by 1e-7, which turns the
sign of a value in front of a ReLU now and then, and with it the third digit of a gradient."""


FLOAT = 1e-5  # scores are computed in float32, from weights that are equal in it but for a last digit


@pytest.fixture(scope="module", autouse=True)
def double():
    """Train in double precision."""

    def starting_point(job, store):
        model = train.starting_point_in_float32(job, store).double()
        model.register_forward_pre_hook(lambda _, images: (images[0].double(),))
        return model

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "starting_point_in_float32", train.starting_point, raising=False)
        patch.setattr(train, "starting_point", starting_point)
        yield


def request(results, **changes):
    fields = {
        "suites": ("toy",),
        "methods": METHODS,
        "bits": ("8",),
        "seeds": (0,),
        "results": results,
        "settings": {"recipe": {"batch_size": "31", "pretrain_steps": "8", "steps": "4"}},
        "spaces": (),
        "device": "cpu",
    }
    return Request(**{**fields, **changes})


def go(results, folder, **changes):
    """Run with two processes; returns what the leading one says, and what the other returns."""

    def work(ranks):
        if not ranks.leads:
            return distributed.follow(ranks)
        said = []
        own = distributed.request_of(request(results, **changes), ranks.place)
        run(make_plan(own), session_of(own, PlainProgress(said.append)), ranks)
        ranks.close()
        return said

    said, other = forked(2, folder, work, is_open=False)
    assert other is None
    return said


def weights(results):
    store = Store(results)
    return {r.cell.label: load_file(store.weights_path(r.cell)) for r in store.records()}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    results = tmp_path_factory.mktemp("alone")
    asked = request(results)
    return {r.cell.id: r for r in run(make_plan(asked), session_of(asked))}, weights(results)


def test_two_processes_write_the_records_of_one(alone, tmp_path):
    said = go(tmp_path / "results", tmp_path / "ranks")
    store = Store(tmp_path / "results")
    records = {r.cell.id: r for r in store.records()}
    expected, trained = alone
    assert records.keys() == expected.keys()
    assert len(list((tmp_path / "results" / "records").rglob("*.json"))) == len(METHODS)
    for label, state in weights(tmp_path / "results").items():
        for name, tensor in state.items():
            torch.testing.assert_close(tensor, trained[label][name], rtol=NEAR, atol=NEAR, msg=name)
    for cell_id, record in records.items():
        assert record.status == "done"
        assert record.train.last_loss == pytest.approx(expected[cell_id].train.last_loss, abs=NEAR)
        for shift, scores in expected[cell_id].scores.items():
            assert record.scores[shift]["nll"].value == pytest.approx(scores["nll"].value, abs=FLOAT)
    assert {r.cell.method: r.train.processes for r in records.values()} == {"fp": 2, "qat": 2, "ptq": 1}
    assert all("processes" not in r.to_dict()["train"] for r in expected.values())
    trainings = [line for line in said if line.startswith("train ")]
    assert len(trainings) == len(set(trainings)) >= 3
    assert not [path for path in (tmp_path / "results").rglob("*") if path.name.startswith(".")]
    said = go(tmp_path / "results", tmp_path / "again")
    assert said == [f"3 of 3 cells stored in {tmp_path / 'results'}; nothing to do"]


def test_what_fails_in_all_processes_costs_one_cell(tmp_path):
    plugin = tmp_path / "failing.py"
    plugin.write_text(FAILING)
    registry.add_plugin(plugin)
    said = go(tmp_path / "results", tmp_path / "ranks", methods=("failing", "qat"))
    status = {r.cell.method: (r.status, r.reason) for r in Store(tmp_path / "results").records()}
    assert status["failing"] == ("failed", "crashed: ValueError('as it should')")
    assert status["qat"][0] == "done"
    assert sum("as it should" in line for line in said) == 1


@pytest.mark.parametrize("lacking", [1, *slow(0)])
def test_memory_that_one_process_lacks_costs_one_cell(tmp_path, monkeypatch, lacking):
    qat = registry.load(registry.METHODS, "anchor")

    def go_out(self, x, y):
        if self.steps_done == 2 and torch.distributed.get_rank() == lacking:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return step(self, x, y)

    step = qat.step
    monkeypatch.setattr(qat, "step", go_out)
    said = go(tmp_path / "results", tmp_path / "ranks", methods=("anchor", "fp", "dampen"))
    records = {r.cell.method: r for r in Store(tmp_path / "results").records()}
    reason = "out of memory: CUDA out of memory. Tried to allocate 2 GiB; try a smaller batch, as by "
    assert records["anchor"].status == "failed"
    assert records["anchor"].reason.startswith(reason)
    assert sum(line.startswith("failed: ") for line in said) == 1
    done = {name: (r.status, r.train.processes) for name, r in records.items() if name != "anchor"}
    assert done == {"fp": ("done", 2), "dampen": ("done", 2)}


def test_weights_that_appear_meanwhile_keep_no_process_from_its_part(tmp_path, monkeypatch):
    trained = []
    monkeypatch.setattr(train, "_train", lambda job, session, ranks: trained.append(ranks))
    monkeypatch.setattr(Store, "has_weights", lambda store, cell: True)
    own = request(tmp_path / "results")
    train.train(make_plan(own).jobs[0], session_of(own), "ranks")
    assert trained == ["ranks"]


def test_what_all_start_from_is_trained_again_if_somebody_removes_it(tmp_path, monkeypatch):
    start, removed = train.starting_point, []

    def starting_point(job, store):
        if job.parent and not removed:  # once in each process
            removed.append(store.weights_path(job.parent.cell))
            removed[0].unlink(missing_ok=True)
            raise Vanished("as it should")
        return start(job, store)

    monkeypatch.setattr(train, "starting_point", starting_point)
    go(tmp_path / "results", tmp_path / "ranks", methods=("qat",))
    (record,) = Store(tmp_path / "results").records()
    assert (record.status, record.reason, record.train.processes) == ("done", "", 2)


def test_a_batch_without_an_image_for_each_process(tmp_path):
    def work(ranks):
        own = request(tmp_path / "results", settings={"recipe": {"batch_size": "2"}})
        todo = session_of(own).lacking(make_plan(own))
        ranks.size = 3
        with pytest.raises(
            UsageError, match="an image of each batch for each of 3 processes, got batches of 2"
        ):
            distributed.check_batches(todo, session_of(own), ranks)
        return True

    assert forked(1, tmp_path / "ranks", work) == [True]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"jobs": 2}, "expected no --jobs, got both"),
        ({"devices": ("cpu", "cpu")}, "expected no --devices, got both"),
        ({"ray": "local"}, "expected no --ray, got both"),
        ({"compile": True}, "expected no --compile"),
        ({"device": "cuda:1"}, "--device cuda:1: expected auto, cpu or cuda with --distributed"),
    ],
)
def test_what_excludes_training_together(tmp_path, changes, problem):
    place = Place(rank=0, size=2, local_rank=0, local_size=2)
    with pytest.raises(UsageError, match=problem):
        distributed.request_of(request(tmp_path, **changes), place)


def test_decoding_threads_and_memory_are_divided(tmp_path):
    place = Place(rank=1, size=8, local_rank=1, local_size=4)
    own = distributed.request_of(request(tmp_path, workers=6), place)
    assert (own.workers, own.jobs, own.device) == (2, 4, "cpu")
