"""The networks of a plan, and what all cells of one suite, one model and one seed share.

Each network is built once before anything trains, so that a misfit shows at once.
torch loads inside the functions, because plans are imported by commands that never compute.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flatqat import registry
from flatqat.bench.plan.layers import simplest
from flatqat.bench.plan.request import Request, parse_adapt
from flatqat.errors import DataError, UsageError, choose
from flatqat.spec import Cell, QuantSpec, Recipe
from flatqat.suite import Shift, Suite

if TYPE_CHECKING:
    from flatqat.models.base import Normalized

EVAL = "eval"  # the recipe of suites without training images: it takes no step


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network as its cells start from it: with the weights of a file, if there is one.

    `specs` has the requested bit widths, without patterns of layers that change nothing in this network.
    """

    model: "Normalized"
    weights: Path | None
    weights_hash: str | None
    specs: tuple[QuantSpec, ...]


class Networks:
    """Builds the network of a suite and a model when it is first needed, and keeps it for the other seeds."""

    def __init__(self, request: Request, specs: Sequence[QuantSpec]) -> None:
        self._request, self._specs = request, specs
        self._built: dict[tuple[str, str], Network] = {}

    def get(self, suite: Suite, model: str) -> Network:
        """Return the network, its weights loaded and the layers that the bit-widths name found in it.

        Raises UsageError if the model does not suit the task or a pattern of layers matches none, and
        WeightsError if the file of weights cannot be read or was made for another network.
        """
        key = suite.name, model
        if key not in self._built:
            self._built[key] = self._build(suite, model)
        return self._built[key]

    def clear(self) -> None:
        """Free the networks; training builds its own, from the seed of each cell."""
        self._built.clear()

    def _build(self, suite: Suite, model: str) -> Network:
        from flatqat.methods.batchnorm import estimated
        from flatqat.models.base import build, load_initial_
        from flatqat.quant.apply import quantizable

        window = self._request.window
        if window is not None and suite.task != "segmentation":
            raise UsageError(f"--window: expected a segmentation suite, got {suite.name} ({suite.task})")
        weights = self._weights(model)
        made = build(model, classes=suite.classes, seed=0, eval_transform=suite.eval_transform, window=window)
        if made.task != suite.task:
            raise UsageError(
                f"model {model}: expected one for {suite.task}, which {suite.name} is, got one for "
                f"{made.task}; the suite's default is {suite.default_model}"
            )
        if self._request.adapt and not estimated(made.net):
            raise UsageError(
                f"--adapt {self._request.adapt}: expected a network with BatchNorm statistics, got {model}, "
                "which has none; leave out --adapt or choose another --model"
            )
        weights_hash = None
        if weights is not None:
            entry = load_initial_(made, model, weights, new_head=suite.new_head)
            weights_hash = _sha256(weights) + (f"#{entry}" if entry else "")
        layers = list(quantizable(made.net))
        specs = tuple(simplest(spec, layers) if layers else spec for spec in self._specs)
        return Network(model=made, weights=weights, weights_hash=weights_hash, specs=specs)

    def _weights(self, model: str) -> Path | None:
        """Return the user's file or, with --pretrained, the source's own, which may be downloaded."""
        if not self._request.pretrained:
            return self._request.weights
        from flatqat.models.base import pretrained

        return pretrained(model)


def code_files(model: str) -> list[Path]:
    """Return the local files that the network's code comes from."""
    from flatqat.models import base

    return base.code_files(model)


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseCell:
    """A cell without method and bits, its network, the bits, its weights, and why it cannot be trained."""

    cell: Cell
    net: "Normalized"
    suite: Suite
    specs: tuple[QuantSpec, ...]
    weights: Path | None
    untrainable_reason: str

    def quant_version(self, spec: QuantSpec) -> int:
        """Return the version of how a network is quantized: the larger one of its layers and its quantizer.

        Raises UsageError if a layer of the network cannot be quantized.
        """
        from flatqat.quant.apply import layers_version

        if spec.is_fp:
            return 1
        quantizer = registry.load(registry.QUANTIZERS, spec.quantizer)
        return max(layers_version(self.net.net), int(quantizer.version))

    def preprocessing(self, recipe: Recipe) -> str | None:
        """Return how images are cut where the suite leaves that to the model or the recipe.

        Raises UsageError if the recipe has a size for images of one size.
        """
        if not recipe.image_size:
            return self.cell.preprocessing
        if not self.suite.sizes_vary or self.net.task != "classification":
            expected = f"expected none, since images of {self.suite.name} come at one size"
            raise UsageError(f"recipe.image_size: {expected}, got {recipe.image_size}; leave it out")
        frame = self.net.eval_transform
        cut = self.net.preprocessing_by(frame.scaled(recipe.image_size))
        return f"{recipe.image_size} pixels in place of {frame.crop}: {cut}"


def base_cell_of(suite: Suite, model: str, seed: int, request: Request, networks: Networks) -> BaseCell:
    """Return the base of a seed's cells. Raises UsageError or WeightsError where one of its parts misfits."""
    lacking = suite.lacks(request.data_root)
    recipe = choose(f"recipe of {suite.name}", request.recipe or suite.default_recipe, suite.recipes)
    if lacking:
        recipe = choose(f"recipe of {suite.name}", EVAL, suite.recipes)
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
        limit=_limit_of(suite, request),
        amp=request.amp,
        preprocessing=network.model.preprocessing if suite.sizes_vary else None,
        window=str(window) if window else None,
        adapt=parse_adapt(request.adapt),
    )
    reason = lacking or f"the recipe {recipe!r} trains nothing"
    return BaseCell(
        cell=cell,
        net=network.model,
        suite=suite,
        specs=network.specs,
        weights=network.weights,
        untrainable_reason=reason,
    )


def _limit_of(suite: Suite, request: Request) -> int | None:
    """Return the limit, or None if no scored set has more images: then it limits nothing.

    Shifts of one image set have the same number of images; `val`, the largest to list, is looked at last.
    Without its data a suite's limit stays.
    """
    if request.limit is None:
        return None
    sets: dict[str, Shift] = {}
    for shift in (*suite.shifts, *suite.scored):
        sets.setdefault(shift.image_set, shift)
    try:
        limits = any(len(shift.build(request.data_root)) > request.limit for shift in sets.values())
    except DataError:
        return request.limit
    return request.limit if limits else None


def _sha256(weights: Path) -> str:
    from flatqat.models.checkpoint import file_of

    with file_of(weights).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
