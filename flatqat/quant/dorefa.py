"""DoReFa: weights pass through tanh onto a fixed grid in [−1, 1]; inputs are clipped at a fixed bound.

With q_b(r) = round((2^b − 1) r) / (2^b − 1), rounding half to even:

    w_q = 2 · q_b(tanh(w) / (2 max|tanh(w)|) + 1/2) − 1,      x_q = q_b(clip(x, 0, 1)).

q_b has the straight-through gradient; tanh and the division by the maximum, taken over the layer, are
differentiated. Nothing is learned. For inputs, the bound is the paper's 1 with `ranges=own`; the other range
initializations derive it from the data, and inputs that are negative during calibration get the signed grid.

Weights lose their magnitude by design, and BatchNorm has to restore it: without BatchNorm, or without new
statistics (`ptq` with `batchnorm=false`), the layer's output is too large by 1 / max|tanh(w)|. The levels ±1,
±1/3, ... do not include zero. Q(w) is not idempotent, since tanh is applied again; the grid is.
`in_weight_scale` is atanh(max|tanh(w)| · w_q), which has the codes of w.

Source: Zhou et al. 2016, "DoReFa-Net" (arXiv 1606.06160), sections 2.3 and 2.4. First and last layers are not
quantized there; here layers kept at 8 bits have the grid of LSQ. MQBench maps tanh(w) / max to an ordinary
affine grid with an observer instead.
"""

import torch
from torch import Tensor

from flatqat.quant.base import PERCENTILE, SMALLEST_SCALE, Quantizer, RangeInit, Role
from flatqat.quant.observe import Observer
from flatqat.quant.ops import fake_quantize, full_precision


class DoReFa(Quantizer):
    """DoReFa-Net quantization (Zhou et al. 2016): fixed grids, weights squashed by tanh."""

    version = 2  # 1: BatchNorm could be frozen at the statistics of weights on another scale
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
        """Return tanh(v) / max|tanh(v)| for weights."""
        if self.role == "input":
            return v
        squashed = v.tanh()
        return squashed / self._largest(squashed)

    def denormalize(self, u: Tensor, v: Tensor) -> Tensor:
        """Return atanh(u · max|tanh(v)|) for weights."""
        if self.role == "input":
            return u
        almost_one = 1 - torch.finfo(u.dtype).eps  # atanh(1) is infinite
        return (u * self._largest(v.tanh())).clamp(-almost_one, almost_one).atanh()

    def project(self, u: Tensor) -> Tensor:
        """Round weights to 2^b even levels from −1 to 1, inputs on the uniform grid."""
        if self.role == "input":
            return super().project(u)
        return self._level(fake_quantize(self._position(u), self.one, 0, self.qmax))

    def codes(self, v: Tensor) -> Tensor:
        """Return the codes of `v`: for weights 0 is level −1, and 2^b − 1 is level 1."""
        if self.role == "input":
            return super().codes(v)
        return self._position(self.normalize(full_precision(v))).round().to(torch.int32)

    def dequantize(self, codes: Tensor) -> Tensor:
        """Return the level of each code."""
        return super().dequantize(codes) if self.role == "input" else self._level(codes.to(self.scale.dtype))

    def in_range(self, v: Tensor) -> Tensor:
        """Return True everywhere for weights, which are never clipped."""
        return super().in_range(v) if self.role == "input" else torch.ones_like(v, dtype=torch.bool)

    def calibrate(
        self, observed: Observer, range_init: RangeInit = "own", percentile: float = PERCENTILE
    ) -> None:
        """Calibrate inputs; the grid of weights is fixed."""
        if self.role == "input":
            super().calibrate(observed, range_init, percentile)

    def initialize(self, observed: Observer) -> None:
        """Clip inputs at 1."""
        self.set_range(-torch.ones_like(observed.low), torch.ones_like(observed.high))

    def _largest(self, v: Tensor) -> Tensor:
        """Return max|v|."""
        return v.abs().amax().clamp_min(SMALLEST_SCALE)

    def _position(self, u: Tensor) -> Tensor:
        return (u * 0.5 + 0.5) * self.qmax

    def _level(self, codes: Tensor) -> Tensor:
        return codes * 2 / self.qmax - 1


QUANTIZER = DoReFa
