"""What all cells of one suite, one model and one seed share: the recipe and the initial weights."""

from dataclasses import dataclass
from pathlib import Path

from flatqat.bench.plan.networks import Networks
from flatqat.bench.plan.request import Request
from flatqat.errors import choose
from flatqat.spec import Cell
from flatqat.suite import Suite

EVAL = "eval"  # the recipe of suites without training images: it takes no step


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseCell:
    """A cell without method and bits, its file of weights, and why it cannot be trained, if it cannot."""

    cell: Cell
    suite: Suite
    weights: Path | None
    untrainable_reason: str


def base_cell_of(suite: Suite, model: str, seed: int, request: Request, networks: Networks) -> BaseCell:
    """Return the base of the cells of a seed.

    Raises:
        UsageError: If the suite has no such recipe, or the model does not fit it.
        WeightsError: If the weights do not fit the model.
    """
    lacking = suite.untrainable_reason(request.data_root)
    recipe = EVAL if lacking else request.recipe or suite.default_recipe
    choose(f"recipe of {suite.name}", recipe, suite.recipes)
    network = networks.get(suite, model)
    window = network.model.window
    cell = Cell(
        suite=suite.name,
        suite_version=suite.version,
        model=model,
        method="",
        quant="fp",
        recipe=recipe,
        seed=seed,
        weights=network.weights_hash,
        limit=request.limit,
        amp=request.amp,
        preprocessing=network.model.preprocessing if suite.sizes_vary else None,
        window=str(window) if window else None,
    )
    reason = lacking or f"the recipe {recipe!r} trains nothing"
    return BaseCell(cell=cell, suite=suite, weights=network.weights, untrainable_reason=reason)
