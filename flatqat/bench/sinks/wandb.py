"""Curves as runs of Weights & Biases, one for each cell."""

import os
from collections.abc import Sequence

from flatqat.bench.sinks.sink import Row, Sink, Training

PROJECT = "flatqat"


class WandB(Sink):
    """Runs of the project `flatqat`, grouped by suite; the variables of wandb say where, if they are set."""

    package = "wandb"

    def __init__(self, training: Training) -> None:
        import wandb

        training.folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            group=training.suite,
            name=training.label,
            config=dict(training.settings),
            dir=os.environ.get("WANDB_DIR", str(training.folder)),
            settings=wandb.Settings(silent=True, console="off"),
        )

    def scalars(self, rows: Sequence[Row]) -> None:
        """Take the values after some steps."""
        for step, values in rows:
            self._run.log(dict(values), step=step)

    def close(self) -> None:
        """Send the rest."""
        self._run.finish()
