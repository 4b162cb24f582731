"""Observers and quantizers of given values."""

import torch

from flatqat.quant.base import Quantizer
from flatqat.quant.observe import Observer


def observed(*tensors: torch.Tensor, scale_shape: tuple[int, ...] = (), keep_all: bool = False) -> Observer:
    """An observer of these tensors."""
    observer = Observer(scale_shape, keep_all=keep_all)
    for tensor in tensors:
        observer.add(tensor)
    return observer


def calibrated(
    quantizer: type[Quantizer], bits: int, values: torch.Tensor, range_init: str = "own"
) -> Quantizer:
    """An input quantizer calibrated on these values."""
    q = quantizer(bits=bits, role="input")
    q.calibrate(observed(values), range_init)
    return q
