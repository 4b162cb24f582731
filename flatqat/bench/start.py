"""What a model starts from: its weights file, and whether the network takes it. torch loads inside."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from flatqat.errors import UsageError, WeightsError
from flatqat.spec import QuantSpec
from flatqat.suite import Suite


def weights_file(model: str, given: Path | None, *, pretrained: bool) -> Path | None:
    """The file given by the user or, if asked for, the source's own, which may be downloaded for that."""
    if not pretrained:
        return given
    if given:
        raise UsageError("--weights and --pretrained both name start weights; leave one of them out")
    from flatqat.models._base import source_of

    source, name = source_of(model)
    return source.pretrained(name)


def try_model(model: str, suite: Suite, weights: Path | None, specs: Iterable[QuantSpec]) -> str:
    """Build the network once, load the weights into it and look for the layers that `specs` name, so that a
    misfit shows before training.

    Returns its preprocessing in words.
    """
    from flatqat.models._base import build, load_start_
    from flatqat.quant._apply import by_layer, quantizable

    built = build(model, classes=suite.classes, seed=0, frame=suite.frame)
    if weights is not None:
        load_start_(built, model, weights, new_head=suite.new_head)
    if layers := list(quantizable(built.net)):
        for spec in specs:
            by_layer(layers, spec)
    return built.preprocessing


def code_files(model: str) -> list[Path]:
    """The local files that the network's code comes from."""
    from flatqat.models._base import source_of

    source, name = source_of(model)
    return source.files(name)


def sha256(path: Path) -> str:
    """Of a weights file, in hex."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"weights {path}: expected a readable file ({error.strerror})") from error
