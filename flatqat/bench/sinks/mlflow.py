"""Curves as runs of MLflow, one for each cell."""

import os
from collections.abc import Sequence
from time import time

from flatqat.bench.sinks.sink import Row, Sink, Training
from flatqat.locks import only_one

MOST = 1000  # metrics that MLflow takes in one request


class MLflow(Sink):
    """Runs of the experiment `flatqat SUITE`, in `mlflow.db` unless MLflow's own variables say where."""

    package = "mlflow"

    def __init__(self, training: Training) -> None:
        from mlflow import MlflowClient

        folder = training.folder.resolve()
        place = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder / 'mlflow.db'}"
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or f"flatqat {training.suite}"
        with only_one(folder):  # two that make tables and experiments at once fail
            self._client = MlflowClient(tracking_uri=place)
            known = self._client.get_experiment_by_name(name)
            experiment = known.experiment_id if known else self._client.create_experiment(name)
        run = self._client.create_run(experiment, run_name=training.label)
        self._run = run.info.run_id
        for key, value in training.settings.items():
            self._client.log_param(self._run, key, value)

    def scalars(self, rows: Sequence[Row]) -> None:
        """Take the values after some steps, in as few requests as MLflow allows."""
        from mlflow.entities import Metric

        now = int(1000 * time())
        metrics = [Metric(name, value, now, step) for step, values in rows for name, value in values.items()]
        for start in range(0, len(metrics), MOST):
            self._client.log_batch(self._run, metrics[start : start + MOST])

    def close(self) -> None:
        """Say that the run has ended."""
        self._client.set_terminated(self._run)
