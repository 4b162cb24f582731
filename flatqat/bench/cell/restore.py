"""The model of a stored cell, as it was at the end of training."""

from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from flatqat.bench.records.named import results_option
from flatqat.bench.records.store import Store
from flatqat.bench.records.weights import FIX, check_content
from flatqat.errors import StoreError, Vanished, WeightsError
from flatqat.models.base import Normalized, build
from flatqat.models.weights import load_weights_
from flatqat.quant.apply import quantize_
from flatqat.spec import Cell, Window
from flatqat.suite import Suite

Which = Literal["selected", "last"]


def restore(
    cell: Cell,
    suite: Suite,
    store: Store,
    device: torch.device | str = "cpu",
    *,
    which: Which = "selected",
    model: str | None = None,
    recorded: str = "",
) -> Normalized:
    """Return a cell's model as the store has it, quantized and in eval mode.

    `which` says whether its weights are those selected on `val` or those of the last step; without selection
    they are the same. `model` replaces the cell's own name of its network, see `trusted_model`. `recorded` is
    the digest that the selected weights have by the cell's record. Raises StoreError if the weights are gone,
    damaged or others.
    """
    path = store.weights_path(cell)
    if which == "last" and store.weights_path(cell, which).exists():
        path = store.weights_path(cell, which)
    if not store.has_weights(cell):
        shows = f"flatqat results show {cell.label}{results_option(store.root)}"
        fix = f"to train it again, add --rerun to the command that this prints: {shows}"
        raise Vanished(f"cell {cell.label}: expected its weights at {path}, found none; {fix}")
    net = blank(cell, suite, model=model)
    quantize_(net.net, cell.quant_spec)
    load_stored_(net.net, path, recorded if path == store.weights_path(cell) else "")
    return net.to(device).eval()


def blank(cell: Cell, suite: Suite, seed: int = 0, model: str | None = None) -> Normalized:
    """Return a cell's full-precision network with random weights; it predicts as the cell is scored."""
    net = untrained(cell, suite, seed, model)
    net.window = Window.parse(cell.window or "whole")
    return net


def untrained(cell: Cell, suite: Suite, seed: int, model: str | None = None) -> Normalized:
    """Return a cell's full-precision network with random weights, which predicts through its own window.

    Training sees `val` like this, so that cells that are scored in several ways share their weights.
    """
    name, transform = model or cell.model, suite.eval_transform
    net = build(name, classes=suite.classes, seed=seed, eval_transform=transform)
    if size := _of_recipe(cell, suite, "image_size"):
        net.eval_transform = net.eval_transform.scaled(size)
    net.amp = cell.amp
    return channels_last_(net) if _of_recipe(cell, suite, "channels_last") else net


def _of_recipe(cell: Cell, suite: Suite, name: str) -> Any:
    """Return a value of a cell's recipe; None if neither the cell nor the suite has it."""
    return dict(cell.recipe_args).get(name, getattr(suite.recipes.get(cell.recipe), name, None))


def channels_last_(model: Normalized) -> Normalized:
    """Let convolutions see pixels as (B, H, W, channels) in memory: faster, and other last digits."""
    for weight in model.parameters():
        if weight.ndim == 4:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    return model


def load_stored_(net: nn.Module, path: Path, recorded: str = "") -> None:
    """Load weights that flatqat stored itself. Raises StoreError if they are damaged or not these."""
    check_content(path, recorded)
    try:
        load_weights_(net, path)
    except WeightsError as error:
        if not path.exists():
            raise Vanished(f"{path}: expected stored weights, found none; run again") from error
        raise StoreError(f"{path}: expected stored weights, got a damaged file; {FIX}") from error
