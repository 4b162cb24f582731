"""`--dry-run` times a few steps of whatever method and recipe, and refuses what `bench run` refuses."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from flatqat import registry
from flatqat.bench.cell import making
from flatqat.bench.engine.estimate import estimate
from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from tests.helpers import HELPERS
from tests.helpers.running import session_of

METHODS = [name for name in registry.names(registry.METHODS) if name != "pretrain"]


@pytest.fixture(autouse=True)
def suites():
    registry.add_plugin(HELPERS / "toy_map.py")


def seconds(results: Path, **changes) -> float:
    plan = make_plan(Request(results=results, bits=("3",), seeds=(0,), **changes))
    return estimate(plan.jobs, session_of(plan.request))


@pytest.mark.slow
def test_every_method_on_every_kind_of_suite(tmp_path):
    """Also one without steps, under a schedule that is not defined beyond the last step."""
    settings = {"recipe": {"schedule": "poly", "steps": "1", "pretrain_steps": "1"}}
    assert seconds(tmp_path, suites=("toy", "toy-map"), methods=tuple(METHODS), settings=settings) > 0


def test_a_method_without_steps_takes_no_time_for_steps(tmp_path, monkeypatch):
    """Its images still have to be scored."""
    monkeypatch.setattr("flatqat.bench.engine.estimate._fastest", lambda call: 1.0)
    monkeypatch.setattr("flatqat.bench.engine.estimate.seconds_to_make", lambda *args: 0.0)
    wanted = Request(results=tmp_path, suites=("toy",), methods=("ptq",), bits=("3",), seeds=(0,), spaces=())
    plan = make_plan(wanted)
    jobs = [replace(job, parent=None) for job in plan.scored()]
    images = 4 * 96  # val, id and two shifts, at 1 s for a batch of 32
    assert estimate(jobs, session_of(plan.request)) == pytest.approx(images / 32)


def test_steps_of_other_passes_are_timed_on_their_own(tmp_path, monkeypatch):
    timed = []
    monkeypatch.setattr(
        "flatqat.bench.engine.estimate._time", lambda job, _: timed.append(job) or (1.0, 0.0, 0.0)
    )
    settings = {"anchor": {"coupling": "ema,elastic,dual", "strength": "0.1,0.2"}}
    seconds(tmp_path, suites=("toy",), methods=("anchor",), settings=settings)
    assert [job.config.coupling == "dual" for job in timed if job.scored] == [False, True]


def test_images_are_made_once_for_all_models_and_scores_take_time(tmp_path, monkeypatch):
    monkeypatch.setattr("flatqat.bench.engine.estimate._time", lambda job, session: (0.0, 0.0, 0.5))
    monkeypatch.setattr(
        "flatqat.bench.engine.estimate.seconds_to_make", lambda data, device, workers: float(len(data))
    )
    images = 4 * 96  # val, id and two shifts
    for methods in (("ptq",), ("ptq", "qat")):
        wanted = Request(
            results=tmp_path, suites=("toy",), methods=methods, bits=("3",), seeds=(0,), spaces=()
        )
        plan = make_plan(wanted)
        found = estimate(plan.scored(), session_of(plan.request))
        assert found == pytest.approx(images + 0.5 * images * len(plan.scored()))


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
    monkeypatch.setattr(making.os, "cpu_count", lambda: 4)
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
