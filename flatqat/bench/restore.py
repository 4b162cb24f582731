"""A stored cell's model, as it was at the end of training."""

import torch

from flatqat.bench.store import Store
from flatqat.errors import StoreError
from flatqat.models._base import Normalized, build
from flatqat.models._weights import load_weights_
from flatqat.quant._apply import quantize_
from flatqat.spec import Cell, QuantSpec, Suite


def restore(cell: Cell, suite: Suite, store: Store, device: torch.device | str = "cpu") -> Normalized:
    """Build, quantize and load a cell's model, in eval mode. Raises StoreError when its weights are gone."""
    path = store.weights_path(cell)
    if not store.has_weights(cell):
        raise StoreError(
            f"cell {cell.label}: expected its weights at {path}, found none; "
            "train it again with: flatqat bench run --rerun and the options of that cell"
        )
    model = build(cell.model, classes=suite.classes, seed=0)
    quantize_(model.net, QuantSpec.parse(cell.quant))
    load_weights_(model.net, path)
    return model.to(device).eval()
