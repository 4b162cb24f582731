"""Sinks by name."""

from collections.abc import Mapping
from importlib.util import find_spec

from flatqat.bench.sinks.mlflow import MLflow
from flatqat.bench.sinks.sink import Sink
from flatqat.bench.sinks.tensorboard import TensorBoard
from flatqat.bench.sinks.wandb import WandB
from flatqat.errors import UsageError, choose

SINKS: Mapping[str, type[Sink]] = {"tensorboard": TensorBoard, "wandb": WandB, "mlflow": MLflow}


def check_sink(name: str | None) -> None:
    """Raise UsageError if curves are to go where they cannot."""
    if name is not None:
        sink_named(name)


def sink_named(name: str) -> type[Sink]:
    """Return the sink of this name. Raises UsageError if there is none or its package is not installed."""
    sink = SINKS[choose("log", name, SINKS)]
    spec = find_spec(sink.package)
    if spec is None or spec.origin is None:  # a folder of that name, such as a tool writes, is not a package
        fix = f"install it with: pip install 'flatqat[{name}]'"
        raise UsageError(f"--log {name}: expected the package {sink.package}, found none; {fix}")
    return sink
