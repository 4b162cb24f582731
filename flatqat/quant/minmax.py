"""MinMax: fixed ranges from calibration, symmetric for weights and affine for inputs.

Inputs: s = (max − min) / (2^b − 1) with the integer zero point z = round(−min / s), so the codes run from −z
to 2^b − 1 − z. Weights: s = max|w| / (2^(b−1) − 1). The scale is not learned; gradients pass straight through
inside the range. Source: Jacob et al. 2018, equations 1 to 3; Krishnamoorthi 2018, section 2.
"""

import torch
from torch import Tensor

from flatqat.quant.base import Quantizer


class MinMax(Quantizer):
    """Min-max quantization (Jacob et al. 2018): fixed ranges, symmetric for weights, affine for inputs."""

    def set_range(self, low: Tensor, high: Tensor) -> None:
        """Cover [low, high]: symmetrically for weights, with an integer zero point for inputs."""
        if self.role == "weight":
            self.set_scale(torch.maximum(-low, high) / self.qmax)
            return
        levels = 2**self.bits - 1
        self.set_scale((high - low) / levels)
        zero_point = int((-low / self.scale).round())
        self.set_bounds(-zero_point, levels - zero_point)


QUANTIZER = MinMax
