"""DoReFa: weights through tanh onto a fixed grid in [−1, 1]; inputs clipped at a fixed bound.

With q_b(r) = round((2^b − 1) r) / (2^b − 1), rounding half to even:

    w_q = 2 · q_b(tanh(w) / (2 max|tanh(w)|) + 1/2) − 1,      x_q = q_b(clip(x, 0, 1)).

Straight-through in q_b; tanh and the division by the maximum, which runs over the layer, are differentiated.
Nothing is learned. Inputs: the bound 1 is the paper's (`own`); `minmax` and `mse` take it from the data, and
inputs that calibration saw negative get the signed grid. For weights there is nothing to calibrate.

Weights lose their magnitude by design, and BatchNorm has to take it up: without it, or without new statistics
(`ptq` with `batchnorm=false`), the layer's output is too large by 1 / max|tanh(w)|. The levels ±1, ±1/3, ...
do not hold zero. Q(w) is no projection, since tanh is applied anew; the grid is. `in_weight_scale` is
atanh(max|tanh(w)| · w_q), which has the codes of w.

Source: Zhou et al. 2016, "DoReFa-Net" (arXiv 1606.06160), sections 2.3 and 2.4. First and last layers are not
quantized there; layers held at 8 bits have the grid of LSQ here. MQBench maps tanh(w) / max to an ordinary
affine grid with an observer instead.
"""

import torch
from torch import Tensor

from flatqat.quant.base import SMALLEST_SCALE, Quantizer, RangeInit, Role
from flatqat.quant.observe import Observer
from flatqat.quant.ops import fake_quantize, full_precision


class DoReFa(Quantizer):
    per_channel = False
    edge_quantizer = "lsq"
    one: Tensor

    def __init__(self, *, bits: int, role: Role, scale_shape: tuple[int, ...] = ()) -> None:
        super().__init__(bits=bits, role=role, scale_shape=scale_shape)
        self.register_buffer("one", torch.tensor(1.0), persistent=False)
        if role == "weight":
            self.set_bounds(0, 2**bits - 1)
            self.scale.fill_(2 / self.qmax)

    def normalize(self, v: Tensor) -> Tensor:
        if self.role == "input":
            return v
        squashed = v.tanh()
        return squashed / self._largest(squashed)

    def denormalize(self, u: Tensor, v: Tensor) -> Tensor:
        if self.role == "input":
            return u
        almost_one = 1 - torch.finfo(u.dtype).eps  # atanh(1) is infinite, and so was the weight
        return (u * self._largest(v.tanh())).clamp(-almost_one, almost_one).atanh()

    def project(self, u: Tensor) -> Tensor:
        if self.role == "input":
            return super().project(u)
        return self._level(fake_quantize(self._position(u), self.one, 0, self.qmax))

    def codes(self, v: Tensor) -> Tensor:
        if self.role == "input":
            return super().codes(v)
        return self._position(self.normalize(full_precision(v))).round().to(torch.int32)

    def dequantize(self, codes: Tensor) -> Tensor:
        return super().dequantize(codes) if self.role == "input" else self._level(codes.to(self.scale.dtype))

    def in_range(self, v: Tensor) -> Tensor:
        return super().in_range(v) if self.role == "input" else torch.ones_like(v, dtype=torch.bool)

    def calibrate(self, seen: Observer, rule: RangeInit = "own", percentile: float = 99.9) -> None:
        if self.role == "input":
            super().calibrate(seen, rule, percentile)

    def initialize(self, seen: Observer) -> None:
        self.set_range(-torch.ones_like(seen.low), torch.ones_like(seen.high))

    def _largest(self, v: Tensor) -> Tensor:
        """max|v| over what shares a grid."""
        axes = tuple(range(1 if self.scale.ndim else 0, v.ndim))
        largest: Tensor = v.abs().amax(axes, keepdim=bool(self.scale.ndim))
        return largest.clamp_min(SMALLEST_SCALE)

    def _position(self, u: Tensor) -> Tensor:
        position: Tensor = (u * 0.5 + 0.5) * self.qmax
        return position

    def _level(self, codes: Tensor) -> Tensor:
        level: Tensor = codes * 2 / self.qmax - 1
        return level


QUANTIZER = DoReFa
