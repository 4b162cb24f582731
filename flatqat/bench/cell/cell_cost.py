"""What the network of a cell costs for one image of its suite, as it is scored."""

from pathlib import Path

import torch

from flatqat.bench.cell.restore import blank
from flatqat.models.base import Normalized
from flatqat.quant.apply import quantize_
from flatqat.quant.cost import network_cost
from flatqat.quant.layer_cost import NetworkCost
from flatqat.spec import Cell
from flatqat.suite import Suite


def cost_of(
    cell: Cell,
    suite: Suite,
    data_root: Path | None,
    device: torch.device | str = "cpu",
    *,
    model: str | None = None,
) -> NetworkCost:
    """Return what a cell's network costs for one image, all positions of its window together.

    The cost depends on shapes and bits alone, so the network is built anew and needs no stored weights.
    `model` replaces the cell's own name of it, see `trusted_model`. Raises DataError if the size of images is
    that of the data, and these are not there.
    """
    net = blank(cell, suite, model=model)
    quantize_(net.net, cell.quant_spec)
    net.amp = False  # bfloat16 costs the same, and a weight that is cast is another tensor
    height, width = image_size(net, suite, data_root)
    return network_cost(net.to(device).eval().net, (3, height, width), run=net.predict)


def network_of(cell: Cell) -> tuple[object, ...]:
    """Return what two cells have in common whose networks cost the same."""
    layers, images = (cell.quant, cell.keep, cell.layer_bits), (cell.window, cell.preprocessing)
    return cell.suite, cell.model, cell.plugins, *layers, *images


def image_size(net: Normalized, suite: Suite, data_root: Path | None) -> tuple[int, int]:
    """Return height and width of the images that a network is scored on.

    That is the crop where all images are cut alike, and else the size of the first ID image.
    """
    if suite.sizes_vary and suite.task == "classification":
        return net.eval_transform.crop, net.eval_transform.crop
    first = suite.shifts[0].build(data_root).fetch(torch.arange(1))
    return int(first.shape[2]), int(first.shape[3])
