"""Iterative freezing: a weight whose code oscillates too often is fixed at its mean code for ever.

After each step, w_int being the integer code of a weight and Δ its change:

    o_t = 1 if Δ_t ≠ 0 and sign(Δ_t) = −sign(last Δ ≠ 0), else 0
    f_t = m o_t + (1 − m) f_{t−1},   a_t = m w_int + (1 − m) a_{t−1},   f_0 = 0, a_0 = w_int
    f_t > f_th:   w_int := round(a_t), for ever

f is the frequency of oscillation; its threshold f_th falls as a half cosine from `threshold` to
`threshold_end`. A frozen weight stays at its code, not at its value: it lies on its level after every step,
wherever the step size goes, and the step size learns from it as from a constant code. (Where a quantizer
normalizes weights first, its level is carried back through the normalization of the moment, and the code
stays as far as freezing does not itself move mean and deviation.) Tracked are weights of at most `max_bits`
bits.

Source: Nagel et al. 2022, "Overcoming Oscillations in Quantization-Aware Training" (arXiv 2203.11086),
section 4.3, algorithm 1; m, both thresholds (at 4 bits) and the 4 bits are those of the authors' code, for
ImageNet: m = 0.001 remembers a thousand steps, so that trainings of a few hundred need a larger one. Codes
are looked at after each step here, in each training forward pass there: the same codes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import Tensor

from flatqat.errors import UsageError
from flatqat.methods.base import Batch, Calibration, Method
from flatqat.methods.perturb import Perturbation
from flatqat.methods.schedule import half_cosine
from flatqat.methods.settings import AtLeast, Between
from flatqat.quant.apply import latent_weights
from flatqat.quant.base import Quantizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(Calibration):
    threshold: Annotated[float, AtLeast(0)] = 0.1
    threshold_end: Annotated[float, AtLeast(0)] = 0.01
    momentum: Annotated[float, Between(0, 1)] = 0.001
    max_bits: Annotated[int, AtLeast(1)] = 4


class Oscillation:
    """The frequency f and the mean code a of every weight of a tensor, and which are frozen at which code."""

    def __init__(self, codes: Tensor, momentum: float) -> None:
        self.momentum = momentum
        self.codes = codes.clone()
        self.mean = codes.float()
        self.frequency = torch.zeros_like(self.mean)
        self.last_sign = torch.zeros_like(codes)
        self.frozen = torch.zeros_like(codes, dtype=torch.bool)

    def add(self, codes: Tensor) -> Tensor:
        """Take in the codes after one step; returns o, which weights have turned."""
        sign = (codes - self.codes).sign()
        turned = sign * self.last_sign < 0
        self.last_sign = torch.where(sign != 0, sign, self.last_sign)
        self.codes = codes.clone()
        self.frequency.lerp_(turned.float(), self.momentum)
        self.mean.lerp_(codes.float(), self.momentum)
        return turned

    def freeze(self, threshold: float) -> None:
        """Fix the code of every weight above the threshold that is not fixed yet."""
        fresh = (self.frequency > threshold) & ~self.frozen
        self.codes = torch.where(fresh, self.mean.round().to(self.codes.dtype), self.codes)
        self.frozen |= fresh


class Freeze(Method):
    Config = Config

    def begin(self, batches: Sequence[Batch]) -> None:
        super().begin(batches)
        found = latent_weights(self.model)
        self.weights = {name: pair for name, pair in found.items() if pair[1].bits <= self.config.max_bits}
        self.tracked: dict[str, Oscillation] = {}
        for name, (w_latent, quantizer) in self.weights.items():
            codes = quantizer.codes(w_latent.detach())
            if not torch.equal(quantizer.codes(on_level(quantizer, codes, w_latent)), codes):
                raise UsageError(
                    f"freeze: expected a quantizer whose levels keep their codes, such as lsq, "
                    f"got {type(quantizer).__name__}"
                )
            self.tracked[name] = Oscillation(codes, self.config.momentum)
        self.behind = Perturbation(self.model, space="quantized")

    @property
    def threshold(self) -> float:
        """f_th after the steps done."""
        share = self.steps_done / max(1, self.total_steps)
        return half_cosine(share, self.config.threshold, self.config.threshold_end)

    def gradient(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        with self.behind.watched() as shifts:
            logs = super().gradient(x, y)
        for name, (w_latent, quantizer) in self.weights.items():
            frozen, slope = self.tracked[name].frozen, shifts[name].grad
            if slope is not None and quantizer.scale.requires_grad and bool(frozen.any()):
                constant = frozen & quantizer.in_range(
                    w_latent
                )  # beyond the range the code is constant anyway
                level = quantizer.dequantize(self.tracked[name].codes)
                (quantizer.grad_scale(w_latent) * level * slope * constant).sum().backward()
        return logs

    def step(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        logs = super().step(x, y)
        with torch.no_grad():
            for name, (w_latent, quantizer) in self.weights.items():
                seen = self.tracked[name]
                codes = torch.where(seen.frozen, seen.codes, quantizer.codes(w_latent))
                seen.add(codes)
                seen.freeze(self.threshold)
                w_latent.copy_(torch.where(seen.frozen, on_level(quantizer, seen.codes, w_latent), w_latent))
        return logs

    def log(self) -> dict[str, Any]:
        """The share of tracked weights that are frozen, and the mean frequency of oscillation of all."""
        count = sum(seen.frozen.numel() for seen in self.tracked.values())
        frozen = sum(int(seen.frozen.sum()) for seen in self.tracked.values())
        frequency = sum(float(seen.frequency.sum()) for seen in self.tracked.values())
        return {"tracked": count, "frozen": frozen / max(1, count), "oscillation": frequency / max(1, count)}


@torch.no_grad()
def on_level(quantizer: Quantizer, codes: Tensor, w_latent: Tensor) -> Tensor:
    """Latent weights that lie on the levels of these codes."""
    return quantizer.denormalize(quantizer.dequantize(codes), w_latent)


METHOD = Freeze
