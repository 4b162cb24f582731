"""What all cells of one suite, one model and one seed share: recipe, start weights. torch loads inside."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from flatqat.bench.plan.request import Request
from flatqat.errors import UsageError, WeightsError, choose
from flatqat.spec import Cell, QuantSpec
from flatqat.suite import Suite

EVAL = "eval"  # the recipe of suites without training images: no step is taken


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseCell:
    """A cell without method and bits, its weights file, and `still`: why it cannot train, if it cannot."""

    cell: Cell
    suite: Suite
    weights: Path | None
    untrainable_reason: str


def base_cell_of(
    suite: Suite, model: str, seed: int, request: Request, specs: Sequence[QuantSpec]
) -> BaseCell:
    """Raises UsageError or WeightsError where the recipe, the model or its weights do not fit the suite."""
    lacking = suite.untrainable_reason(request.data_root)
    recipe = EVAL if lacking else request.recipe or suite.default_recipe
    choose(f"recipe of {suite.name}", recipe, suite.recipes)
    weights = weights_file(model, request.weights, pretrained=request.pretrained)
    weights_hash = sha256(weights) if weights else None
    preprocessing, window = try_model(model, suite, weights, specs, request.window)
    cell = Cell(
        suite=suite.name,
        suite_version=suite.version,
        model=model,
        method="",
        quant="fp",
        recipe=recipe,
        seed=seed,
        weights=weights_hash,
        limit=request.limit,
        amp=request.amp,
        preprocessing=preprocessing if suite.sizes_vary else None,
        window=window,
    )
    still = lacking or f"the recipe {recipe!r} trains nothing"
    return BaseCell(cell=cell, suite=suite, weights=weights, untrainable_reason=still)


def weights_file(model: str, given: Path | None, *, pretrained: bool) -> Path | None:
    """The file given by the user or, if asked for, the source's own, which may be downloaded for that."""
    if not pretrained:
        return given
    if given:
        raise UsageError("--weights and --pretrained both name start weights; leave one of them out")
    from flatqat.models.base import source_of

    source, name = source_of(model)
    return source.pretrained(name)


def try_model(
    model: str, suite: Suite, weights: Path | None, specs: Iterable[QuantSpec], window: str | None = None
) -> tuple[str, str | None]:
    """Build the network once, load the weights into it and look for the layers that `specs` name, so that a
    misfit shows before training.

    Returns its preprocessing in words, and its window.
    """
    from flatqat.models.base import build, load_initial_
    from flatqat.quant.apply import by_layer, quantizable

    if window is not None and suite.task != "segmentation":
        raise UsageError(f"--window: expected a suite of segmentation, got {suite.name} ({suite.task})")
    built = build(model, classes=suite.classes, seed=0, eval_transform=suite.eval_transform, window=window)
    if built.task != suite.task:
        raise UsageError(
            f"model {model}: expected one for {suite.task}, which {suite.name} is, got one for {built.task}; "
            f"the suite's own is {suite.default_model}"
        )
    if weights is not None:
        load_initial_(built, model, weights, new_head=suite.new_head)
    if layers := list(quantizable(built.net)):
        for spec in specs:
            by_layer(layers, spec)
    return built.preprocessing, str(built.window) if built.window else None


def code_files(model: str) -> list[Path]:
    """The local files that the network's code comes from."""
    from flatqat.models.base import source_of

    source, name = source_of(model)
    return source.files(name)


def sha256(path: Path) -> str:
    """Of a weights file, in hex."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(
            f"weights {path}: expected a readable file, got: {error.strerror}; check --weights"
        ) from error
