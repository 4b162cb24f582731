"""Re-estimation and freezing of BatchNorm statistics.

Running statistics lag behind weights that change, the more so on a coarse grid; the average of the batch
statistics over fresh batches does not. Source: Nagel et al. 2022 (arXiv 2203.11086), section 4.1.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

BatchNorm = nn.modules.batchnorm._BatchNorm


@torch.no_grad()
def reestimate_batchnorm(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set running means and variances to the plain average over `batches`; without batches do nothing."""
    layers = [m for m in model.modules() if isinstance(m, BatchNorm) and m.track_running_stats]
    batches = list(batches)
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


@contextmanager
def preserved_statistics(model: nn.Module) -> Iterator[None]:
    """Leave running statistics as they are within the context; layers normalize as before."""
    layers = [m for m in model.modules() if isinstance(m, BatchNorm) and m.track_running_stats]
    for layer in layers:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True
