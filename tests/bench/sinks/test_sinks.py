"""Tools that draw curves: read back what they wrote, and what is said where one is not installed.

wandb is played by a module that writes down how it is called, in workers, too.
"""

import json
import sys
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

from flatqat.bench.plan.jobs import make_plan
from flatqat.bench.plan.request import Request
from flatqat.bench.sinks.named import SINKS, sink_named
from flatqat.bench.sinks.sink import Training
from flatqat.console.progress import PlainProgress
from flatqat.errors import UsageError
from tests.helpers.running import run_plan

WANDB = '''"""Stands in for wandb."""
import json, os

class Settings(dict): pass

class Run:
    def __init__(self, settings):
        self.name, self.lines = settings["name"], [settings]
    def log(self, values, step):
        self.lines.append([step, values])
    def finish(self):
        with open(os.path.join(os.environ["WRITTEN"], self.name), "w") as file:
            json.dump(self.lines, file)

def init(**settings):
    return Run(settings)
'''


def training(folder):
    return Training(
        suite="toy", label="tiny-fp-s0", settings={"suite": "toy", "seed": 0}, folder=folder / "logs"
    )


def fill(sink, first=1.0):
    sink.scalars([(1, {"loss": first, "loss_moved": 2.0}), (2, {"loss": float("nan")})])
    sink.scalars([(2, {"val_top1": 75.0})])
    sink.close()


def test_tensorboard_reads_the_curves_of_the_last_training(tmp_path):
    if not find_spec("tensorboard"):
        pytest.skip("tensorboard is not installed: pip install 'flatqat[tensorboard]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for first in (9.0, 1.0):
        fill(SINKS["tensorboard"](training(tmp_path)), first)
    read = EventAccumulator(str(tmp_path / "logs/tensorboard/toy/tiny-fp-s0"))
    read.Reload()
    values = {name: [(one.step, one.value) for one in read.Scalars(name)] for name in read.Tags()["scalars"]}
    assert values["loss"] == [(1, 1.0), (2, pytest.approx(float("nan"), nan_ok=True))]
    assert (values["loss_moved"], values["val_top1"]) == ([(1, 2.0)], [(2, 75.0)])


@pytest.mark.filterwarnings("ignore")  # of mlflow about its own dependencies
def test_mlflow_reads_the_curves_of_every_training(tmp_path, monkeypatch):
    if not find_spec("mlflow"):
        pytest.skip("mlflow is not installed: pip install 'flatqat[mlflow]'")
    from mlflow import MlflowClient

    place = None if find_spec("sqlalchemy") else str(tmp_path / "files")  # mlflow-skinny has no databases
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    if place:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", place)
    for first in (9.0, 1.0):
        fill(SINKS["mlflow"](training(tmp_path)), first)
    client = MlflowClient(place or f"sqlite:///{tmp_path}/logs/mlflow.db")
    experiment = client.get_experiment_by_name("flatqat toy")
    runs = client.search_runs([experiment.experiment_id])
    assert [run.info.run_name for run in runs] == ["tiny-fp-s0"] * 2
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert runs[0].data.params == {"suite": "toy", "seed": "0"}
    starts = {client.get_metric_history(run.info.run_id, "loss")[0].value for run in runs}
    assert starts == {9.0, 1.0}
    (scored,) = client.get_metric_history(runs[0].info.run_id, "val_top1")
    assert (scored.step, scored.value) == (2, 75.0)


def test_mlflow_gets_the_steps_of_a_curve_in_few_requests(tmp_path, monkeypatch):
    """MLflow is played by modules, so that it need not be installed."""
    sent = []
    entities = SimpleNamespace(Metric=lambda name, value, now, step: (step, name, value))
    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace(entities=entities))
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
    sink = object.__new__(SINKS["mlflow"])
    sink._run, sink._client = "run", SimpleNamespace(log_batch=lambda run, metrics: sent.append(metrics))
    rows = [(step, {"loss": 1.0 / step, "rise": 2.0}) for step in range(1, 601)]
    sink.scalars(rows)
    assert [len(metrics) for metrics in sent] == [1000, 200]
    expected = [(step, name, value) for step, values in rows for name, value in values.items()]
    assert [metric for metrics in sent for metric in metrics] == expected


@pytest.fixture
def wandb(tmp_path, monkeypatch):
    """A folder with what a stand-in for wandb was told, by the label of each cell."""
    package, written = tmp_path / "packages", tmp_path / "written"
    package.mkdir()
    written.mkdir()
    (package / "wandb.py").write_text(WANDB)
    monkeypatch.syspath_prepend(str(package))
    monkeypatch.setenv("WRITTEN", str(written))
    for name in ("WANDB_PROJECT", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    yield written
    sys.modules.pop("wandb", None)


@pytest.mark.parametrize("jobs", [1, 2])
def test_wandb_has_a_run_for_each_cell_whichever_process_trains_it(tmp_path, wandb, jobs):
    request = Request(
        suites=("toy",),
        methods=("fp", "qat"),
        bits=("3",),
        seeds=(0, 1),
        results=tmp_path / "results",
        spaces=(),
        jobs=jobs,
        log="wandb",
    )
    said = []
    records = run_plan(make_plan(request), PlainProgress(said.append))
    assert not [line for line in said if "--log" in line]
    told = {path.name: json.loads(path.read_text()) for path in wandb.iterdir()}
    assert len(told) == 2 + len(records)
    for record in records:
        settings, *steps = told[record.cell.label]
        assert (settings["project"], settings["group"]) == ("flatqat", "toy")
        assert settings["config"] == json.loads(json.dumps(record.cell.to_dict()))
        assert settings["dir"] == str(tmp_path / "results/logs")
        assert steps[-1] == [len(steps), {"loss": record.train.last_loss}]


def test_the_variables_of_wandb_say_where(tmp_path, wandb, monkeypatch):
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    monkeypatch.setenv("WANDB_DIR", "/elsewhere")
    fill(SINKS["wandb"](training(tmp_path)))
    (settings, *_) = json.loads((wandb / "tiny-fp-s0").read_text())
    assert (settings["project"], settings["dir"]) == ("mine", "/elsewhere")


@pytest.mark.parametrize("name", SINKS)
def test_a_missing_package_is_named_with_its_command(monkeypatch, tmp_path, name):
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    monkeypatch.setattr("sys.path_importer_cache", {})
    for module in [module for module in sys.modules if module.partition(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    (tmp_path / name).mkdir()  # as tools make one where they are run: a folder is no package
    with pytest.raises(UsageError, match=rf"--log {name}: .*pip install 'flatqat\[{name}\]'"):
        sink_named(name)


@pytest.mark.parametrize("more", [(), ("--dry-run",)], ids=["run", "dry"])
@pytest.mark.parametrize("how", ["option", "variable"])
def test_an_unknown_tool_is_refused_before_anything_is_done(flatqat, tmp_path, monkeypatch, more, how):
    if how == "option":
        more += ("--log", "tensorbord")
    else:  # for torchrun, which takes --log for one of its own options
        monkeypatch.setenv("FLATQAT_LOG", "tensorbord")
    run = flatqat("bench", "run", "--suite", "toy", "--results", tmp_path / "r", *more)
    assert run.code == 2
    assert run.err.count("\n") == 1
    assert "did you mean 'tensorboard'?" in run.err
    assert not (tmp_path / "r").exists()
