"""Re-estimation and freezing of BatchNorm statistics.

Running statistics lag behind weights that change, the more so on a coarse grid; the average of the batch
statistics over fresh batches does not. Source: Nagel et al. 2022 (arXiv 2203.11086), section 4.1.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from flatqat.quant.apply import in_inference, switched

BatchNorm = nn.modules.batchnorm._BatchNorm


@torch.no_grad()
def reestimate_batchnorm(model: nn.Module, batches: Sequence[Tensor]) -> None:
    """Set running means and variances to the plain average over `batches`; without batches do nothing."""
    if not estimated(model) or not batches:
        return
    with reestimating(model):
        for images in batches:
            model(images)


@contextmanager
def reestimating(model: nn.Module) -> Iterator[None]:
    """Within the context, average the statistics of every batch that the model sees, and of these alone.

    BatchNorm normalizes by each batch's own statistics meanwhile; all else is in eval mode.
    """
    layers = estimated(model)
    training, momenta = model.training, [layer.momentum for layer in layers]
    model.eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # cumulative average
        layer.train()
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        model.train(training)


def estimated(model: nn.Module) -> list[Any]:
    """Return the BatchNorm layers that have running statistics and are used in inference."""
    layers = in_inference(model).values()
    return [layer for layer in layers if isinstance(layer, BatchNorm) and layer.track_running_stats]


def freeze_batchnorm(model: nn.Module) -> None:
    """Make every BatchNorm layer use its running statistics without updating them."""
    for module in model.modules():
        if isinstance(module, BatchNorm):
            module.eval()


def preserved_statistics(model: nn.Module) -> AbstractContextManager[None]:
    """Return a context in which running statistics stay as they are; layers normalize as before."""
    return switched([m for m in model.modules() if isinstance(m, BatchNorm)], "track_running_stats", False)
