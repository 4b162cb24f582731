"""Curves as runs of MLflow, one for each cell."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import time

from flatqat.bench.sinks.sink import Sink, Training


class MLflow(Sink):
    """Runs of the experiment `flatqat SUITE`, in `mlflow.db` unless MLflow's own variables say where."""

    package = "mlflow"

    def __init__(self, training: Training) -> None:
        from mlflow import MlflowClient

        folder = training.folder.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        place = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder / 'mlflow.db'}"
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or f"flatqat {training.suite}"
        with _alone(folder):
            self._client = MlflowClient(tracking_uri=place)
            known = self._client.get_experiment_by_name(name)
            experiment = known.experiment_id if known else self._client.create_experiment(name)
        run = self._client.create_run(experiment, run_name=training.label)
        self._run = run.info.run_id
        for key, value in training.settings.items():
            self._client.log_param(self._run, key, value)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Take the values after a step."""
        from mlflow.entities import Metric

        now = int(1000 * time())
        metrics = [Metric(name, value, now, step) for name, value in values.items()]
        self._client.log_batch(self._run, metrics)

    def close(self) -> None:
        """Say that the run has ended."""
        self._client.set_terminated(self._run)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time make tables and experiments: two that do so at once fail."""
    import fcntl

    with (folder / ".mlflow.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
