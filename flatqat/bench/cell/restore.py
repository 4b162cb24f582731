"""The model of a stored cell, as it was at the end of training."""

from pathlib import Path
from typing import Literal

import torch
from torch import nn

from flatqat.bench.records.store import Store
from flatqat.errors import StoreError, WeightsError
from flatqat.models.base import Normalized, build
from flatqat.models.weights import load_weights_
from flatqat.quant.apply import quantize_
from flatqat.spec import Cell
from flatqat.suite import Suite

Which = Literal["selected", "last"]


def restore(
    cell: Cell, suite: Suite, store: Store, device: torch.device | str = "cpu", *, which: Which = "selected"
) -> Normalized:
    """Return a cell's model as the store has it, quantized and in eval mode.

    `which` says whether its weights are those selected on `val` or those of the last step; without selection
    they are the same. Raises StoreError if the weights are gone or damaged.
    """
    path = store.weights_path(cell)
    if which == "last" and store.weights_path(cell, which).exists():
        path = store.weights_path(cell, which)
    if not store.has_weights(cell):
        fix = "train it again with: flatqat bench run --rerun and the options of that cell"
        raise StoreError(f"cell {cell.label}: expected its weights at {path}, found none; {fix}")
    model = blank(cell, suite)
    quantize_(model.net, cell.quant_spec)
    load_stored_(model.net, path)
    return model.to(device).eval()


def blank(cell: Cell, suite: Suite, seed: int = 0) -> Normalized:
    """Return a cell's full-precision network with random weights; it predicts as the cell is scored."""
    window = cell.window or "whole"
    model = build(
        cell.model, classes=suite.classes, seed=seed, eval_transform=suite.eval_transform, window=window
    )
    model.amp = cell.amp
    return model


def load_stored_(net: nn.Module, path: Path) -> None:
    """Load weights that flatqat stored itself; raises StoreError if they are damaged."""
    try:
        load_weights_(net, path)
    except WeightsError as error:
        problem = f"{path}: expected stored weights, got a damaged file; delete it and run again"
        raise StoreError(problem) from error
