"""Re-estimation and freezing of BatchNorm statistics.

Running statistics lag behind weights that change, the more so on a coarse grid; the average of the batch
statistics over fresh batches does not. Source: Nagel et al. 2022 (arXiv 2203.11086), section 4.1.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from flatqat.quant.apply import switched

BatchNorm = nn.modules.batchnorm._BatchNorm


@torch.no_grad()
def reestimate_batchnorm(model: nn.Module, batches: Sequence[Tensor]) -> None:
    """Set running means and variances to the plain average over `batches`; without batches do nothing."""
    layers = [m for m in model.modules() if isinstance(m, BatchNorm) and m.track_running_stats]
    if not layers or not batches:
        return
    training, momenta = model.training, [layer.momentum for layer in layers]
    model.eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # cumulative average
        layer.train()
    for images in batches:
        model(images)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    model.train(training)


def freeze_batchnorm(model: nn.Module) -> None:
    """Make every BatchNorm layer use its running statistics without updating them."""
    for module in model.modules():
        if isinstance(module, BatchNorm):
            module.eval()


def preserved_statistics(model: nn.Module) -> AbstractContextManager[None]:
    """Return a context in which running statistics stay as they are; layers normalize as before."""
    return switched([m for m in model.modules() if isinstance(m, BatchNorm)], "track_running_stats", False)
