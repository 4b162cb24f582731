"""`--dry-run` times a few steps of whatever method and recipe, and refuses what `bench run` refuses."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from flatqat import registry
from flatqat.bench.cell import making
from flatqat.bench.cell.session import Lack
from flatqat.bench.engine.estimate import Timed, estimate, time_steps
from flatqat.bench.engine.troubles import Troubles
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.records.store import Store
from tests.helpers import HELPERS
from tests.helpers.running import run_plan, session_of

METHODS = [name for name in registry.names(registry.METHODS) if name != "pretrain"]


@pytest.fixture(autouse=True)
def suites():
    registry.add_plugin(HELPERS / "toy_map.py")


def seconds(results: Path, **changes) -> float:
    plan = make_plan(Request(results=results, bits=("3",), seeds=(0,), **changes))
    session = session_of(plan.request)
    return estimated(session.lacking(plan), session)


def estimated(todo, session, processes=1):
    troubles = Troubles(session.progress)
    timed = time_steps(todo, session, troubles)
    assert not any(troubles.get(lack.job) for lack in todo)
    return estimate(todo, session, timed, processes)


@pytest.mark.slow
def test_every_method_on_every_kind_of_suite(tmp_path):
    """Also one without steps, under a schedule that is not defined beyond the last step."""
    settings = {"recipe": {"schedule": "poly", "steps": "1", "pretrain_steps": "1"}}
    assert seconds(tmp_path, suites=("toy", "toy-map"), methods=tuple(METHODS), settings=settings) > 0


def test_a_method_without_steps_takes_no_time_for_steps(tmp_path, monkeypatch):
    """Its images still have to be scored."""
    monkeypatch.setattr("flatqat.bench.engine.estimate._fastest", lambda call: 1.0)
    monkeypatch.setattr("flatqat.bench.engine.estimate.perf_counter", lambda: 0.0)
    monkeypatch.setattr("flatqat.bench.engine.estimate.repeat", lambda call, number, repeat: [0.0])
    monkeypatch.setattr("flatqat.bench.engine.estimate.seconds_to_make", lambda *args: 0.0)
    wanted = Request(results=tmp_path, suites=("toy",), methods=("ptq",), bits=("3",), seeds=(0,), spaces=())
    plan = make_plan(wanted)
    lacks = [Lack(job=replace(job, parent=None), scores=True) for job in plan.scored()]
    images = 4 * 96  # val, id and two shifts, at 1 s for a batch of 32
    assert estimated(lacks, session_of(plan.request)) == pytest.approx(images / 32)


def test_steps_of_other_passes_are_timed_on_their_own(tmp_path, monkeypatch):
    timed = []
    monkeypatch.setattr(
        "flatqat.bench.engine.estimate._time", lambda job, _: timed.append(job) or Timed(step=1.0)
    )
    settings = {"anchor": {"coupling": "ema,elastic,dual", "strength": "0.1,0.2"}}
    seconds(tmp_path, suites=("toy",), methods=("anchor",), settings=settings)
    assert [job.config.coupling == "dual" for job in timed if job.scored] == [False, True]


def test_jobs_of_other_batches_are_timed_on_their_own(tmp_path, monkeypatch):
    timed = []
    monkeypatch.setattr(
        "flatqat.bench.engine.estimate._time", lambda job, _: timed.append(job) or Timed(step=1.0)
    )
    seconds(tmp_path, suites=("toy",), methods=("qat",), settings={"recipe": {"batch_size": "16,32"}})
    assert sorted(job.recipe.batch_size for job in timed if job.scored) == [16, 32]


def test_flatness_takes_time_after_a_method_without_steps_too(tmp_path, monkeypatch):
    """At a second for a forward pass of one image: 30 products, two gradients, two losses for each move."""
    monkeypatch.setattr("flatqat.bench.engine.estimate._time", lambda job, _: Timed(forward=1.0))
    monkeypatch.setattr("flatqat.bench.engine.estimate.seconds_to_make", lambda *args: 0.0)
    recipe = {"flatness_images": "50", "flatness_draws": "4"}
    changes = {"suites": ("toy",), "methods": ("ptq",), "settings": {"recipe": recipe}}
    assert seconds(tmp_path, **changes, spaces=("quantized",)) == 50 * (30 * 10 + 2 * 4 + 3 * 4 * 2)


def test_images_are_made_once_for_all_models_and_scores_take_time(tmp_path, monkeypatch):
    monkeypatch.setattr("flatqat.bench.engine.estimate._time", lambda job, session: Timed(scoring=0.5))
    monkeypatch.setattr(
        "flatqat.bench.engine.estimate.seconds_to_make", lambda data, device, workers: float(len(data))
    )
    images = 4 * 96  # val, id and two shifts
    for methods in (("ptq",), ("ptq", "qat")):
        wanted = Request(
            results=tmp_path, suites=("toy",), methods=methods, bits=("3",), seeds=(0,), spaces=()
        )
        plan = make_plan(wanted)
        found = estimated([Lack(job=job, scores=True) for job in plan.scored()], session_of(plan.request))
        assert found == pytest.approx(images + 0.5 * images * len(plan.scored()))


def test_images_that_a_seed_draws_are_made_for_each_seed(tmp_path, monkeypatch):
    monkeypatch.setattr("flatqat.bench.engine.estimate._time", lambda job, session: Timed())
    monkeypatch.setattr(
        "flatqat.bench.engine.estimate.seconds_to_make", lambda data, device, workers: float(len(data))
    )
    registry.add_plugin(HELPERS / "toy_family.py")

    def made(*seeds):
        wanted = Request(
            results=tmp_path,
            suites=("toy-family@dark",),
            methods=("ptq",),
            bits=("3",),
            seeds=seeds,
            spaces=(),
        )
        plan = make_plan(wanted)
        todo = [Lack(job=job, scores=True) for job in plan.scored()]
        return estimated(todo, session_of(plan.request))

    assert made(0) > 0
    assert made(0, 1) == made(0) + made(1)


def test_images_of_adapted_cells_are_made_twice_but_for_those_of_val(tmp_path, monkeypatch):
    monkeypatch.setattr("flatqat.bench.engine.estimate._time", lambda job, session: Timed())
    monkeypatch.setattr(
        "flatqat.bench.engine.estimate.seconds_to_make", lambda data, device, workers: float(len(data))
    )
    changes = {"suites": ("toy",), "methods": ("ptq",), "spaces": ()}
    assert seconds(tmp_path, **changes) == 4 * 96  # val, id and two shifts
    assert seconds(tmp_path, **changes, adapt="bn") == (1 + 3 * 2) * 96


def test_only_what_a_cell_lacks_takes_time(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "flatqat.bench.engine.estimate._time", lambda job, _: Timed(begin=1.0, step=1.0, scoring=1.0)
    )
    monkeypatch.setattr("flatqat.bench.engine.estimate.seconds_to_make", lambda *args: 0.0)
    plan = make_plan(
        Request(results=tmp_path, suites=("toy",), methods=("fp", "qat"), bits=("3",), seeds=(0,), spaces=())
    )
    run_plan(replace(plan, jobs=[job for job in plan.jobs if job.cell.quant == "fp"]))
    session = session_of(plan.request)
    (lack,) = session.lacking(plan)
    recipe = lack.job.recipe
    training = recipe.steps + recipe.calibration_batches
    assert estimated([lack], session) == training + 4 * 96
    Store(tmp_path).weights_path(lack.job.cell).touch()
    assert estimated([lack], session) == 4 * 96
    scores = Store(tmp_path)._scores_path(lack.job.cell, "id")
    scores.parent.mkdir(parents=True)
    scores.touch()
    assert estimated([lack], session) == 3 * 96
    again = replace(session, request=replace(plan.request, rerun=True))
    assert estimated([lack], again) == training + 4 * 96


def test_what_processes_can_do_alone_is_divided_among_them(tmp_path, monkeypatch):
    monkeypatch.setattr("flatqat.bench.engine.estimate._time", lambda job, _: Timed(start=1.0, step=1.0))
    monkeypatch.setattr("flatqat.bench.engine.estimate.seconds_to_make", lambda *args: 6.0)
    plan = make_plan(
        Request(results=tmp_path, suites=("toy",), methods=("fp", "qat"), bits=("3",), seeds=(0,), spaces=())
    )
    session, recipe = session_of(plan.request), plan.jobs[0].recipe
    todo = session.lacking(plan)
    steps = recipe.pretrain_steps + 2 * recipe.steps
    assert estimated(todo, session) == 3 + steps + 24
    longest = recipe.pretrain_steps + recipe.steps  # a cell is trained after its parent
    assert estimated(todo, session, 2) == 3 + max(steps / 2, longest) + 24 / 2
    assert estimated(todo, session, 100) == 3 + longest + 24 / 100


def test_calibration_takes_time_too(tmp_path, monkeypatch):
    """That of AdaRound is all that it does."""
    monkeypatch.setattr("flatqat.bench.engine.estimate._fastest", lambda call: 0.0)
    monkeypatch.setattr("flatqat.bench.engine.estimate.perf_counter", lambda: 0.0)
    monkeypatch.setattr("flatqat.bench.engine.estimate.seconds_to_make", lambda *args: 0.0)
    monkeypatch.setattr("flatqat.bench.engine.estimate.repeat", lambda call, number, repeat: [3.0])
    plan = make_plan(
        Request(results=tmp_path, suites=("toy",), methods=("ptq",), bits=("3",), seeds=(0,), spaces=())
    )
    (lack,) = (Lack(job=job, scores=True) for job in plan.scored())
    batches = lack.job.recipe.calibration_batches
    assert estimated([lack], session_of(plan.request)) == batches * 3.0 / min(2, batches)


def test_of_images_that_take_no_time_more_are_timed(monkeypatch):
    """A millisecond for each batch, and a tenth for each image, none of which is timed twice."""
    now, made = [0.0], []

    class Fast:
        def __len__(self):
            return 1000

        def batch(self, index, device):
            now[0] += 1e-3 + 1e-4 * len(index)
            made.extend(index.tolist())

    monkeypatch.setattr(making, "perf_counter", lambda: now[0])
    found = making.seconds_to_make(Fast(), torch.device("cpu"), workers=0)
    assert found == pytest.approx(1000 * (1e-4 + 1e-3 / 256))
    assert sorted(made[1:]) == list(range(1000 - 4 - 16 - 64 - 256, 1000))


def test_the_last_images_tell_how_long_all_take(monkeypatch):
    """Two seconds an image in four threads; what only the first one takes does not count."""
    now, made = [0.0], []

    class Slow:
        def __len__(self):
            return 100

        def batch(self, index, device):
            now[0] += 2.0 * len(index) + 1000.0 * (not made)
            made.extend(index.tolist())

    monkeypatch.setattr(making, "perf_counter", lambda: now[0])
    monkeypatch.setattr(making, "cores", lambda: 4)
    assert making.seconds_to_make(Slow(), torch.device("cpu"), workers=8) == pytest.approx(50.0)
    assert made == [92, 96, 97, 98, 99]


@pytest.mark.parametrize("how", [(), ("--dry-run",)], ids=["run", "dry run"])
@pytest.mark.parametrize(
    ("forward", "said"),
    [
        ("self.head(x.flatten(1))", "images of toy, (3, 16, 16), got: RuntimeError: mat1 and mat2"),
        ("{'out': self.body(x)}", "expected logits (2, 4), got (2, 8, 14, 14)"),
        ("{'a': x, 'b': x}", "expected the network to return logits: a tensor, the first"),
    ],
)
def test_a_model_that_does_not_take_the_images_is_refused(flatqat, tmp_path, forward, said, how):
    net = tmp_path / "net.py"
    net.write_text(
        "from torch import nn\n\n\nclass Net(nn.Module):\n    def __init__(self, classes):\n"
        "        super().__init__()\n"
        "        self.head, self.body = nn.Linear(7, classes), nn.Conv2d(3, 8, 3)\n\n"
        f"    def forward(self, x):\n        return {forward}\n\n\nmake = Net\n"
    )
    done = flatqat(
        "bench", "run", "--suite", "toy", "--model", f"file:{net}:make", "--method", "fp",
        "--results", tmp_path / "r", *how,
    )  # fmt: skip
    assert done.code == 2
    assert said in done.err
    assert not (tmp_path / "r").exists()
