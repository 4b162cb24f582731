"""Iterative freezing: a weight whose code oscillates too often is fixed permanently at its mean code.

After each step, w_int being the integer code of a weight and Δ its change:

    o_t = 1 if Δ_t ≠ 0 and sign(Δ_t) = −sign(last Δ ≠ 0), else 0
    f_t = m o_t + (1 − m) f_{t−1},   a_t = m w_int + (1 − m) a_{t−1},   f_0 = 0, a_0 = w_int
    f_t > f_th:   w_int := round(a_t), permanently

f is the frequency of oscillation; its threshold f_th falls as a half cosine from `threshold` to
`threshold_end`. A frozen weight keeps its code, not its value: it lies on its level after every step, even if
the step size changes, and the step size gets the gradient for a constant code. (If a quantizer normalizes
weights first, the level is mapped back through the current normalization, and the code is constant as far as
freezing does not itself change mean and deviation.) Only weights of at most `max_bits` bits are tracked.

Source: Nagel et al. 2022, "Overcoming Oscillations in Quantization-Aware Training" (arXiv 2203.11086),
section 4.3, algorithm 1; m, both thresholds (at 4 bits) and the 4 bits are those of the authors' code, for
ImageNet: m = 0.001 remembers a thousand steps, so that trainings of a few hundred steps need a larger one.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(Calibration):
    """The settings of `freeze`, explained in the module docstring."""

    threshold: Annotated[float, AtLeast(0)] = 0.1
    threshold_end: Annotated[float, AtLeast(0)] = 0.01
    momentum: Annotated[float, Between(0, 1)] = 0.001
    max_bits: Annotated[int, AtLeast(1)] = 4


class Oscillation:
    """The oscillation frequency f, mean code a and frozen state of every weight in a tensor.

    Codes that are passed in are kept, and must not change.
    """

    def __init__(self, codes: Tensor, momentum: float) -> None:
        self.momentum = momentum
        self.codes, self.mean = codes, codes.float()
        self.frequency, self.last_sign = torch.zeros_like(self.mean), torch.zeros_like(codes)
        self.frozen = torch.zeros_like(codes, dtype=torch.bool)

    def add(self, codes: Tensor) -> Tensor:
        """Add the codes after one step and return o, the weights whose direction has reversed."""
        sign = (codes - self.codes).sign()
        reversals = sign * self.last_sign < 0
        self.last_sign = torch.where(sign != 0, sign, self.last_sign)
        self.codes = codes
        self.frequency.lerp_(reversals.float(), self.momentum)
        self.mean.lerp_(codes.float(), self.momentum)
        return reversals

    def freeze(self, threshold: float) -> None:
        """Freeze every weight whose frequency is above the threshold."""
        newly_frozen = (self.frequency > threshold) & ~self.frozen
        self.codes = torch.where(newly_frozen, self.mean.round().to(self.codes.dtype), self.codes)
        self.frozen |= newly_frozen


class Freeze(Method):
    """Quantization-aware training with iterative weight freezing (Nagel et al. 2022)."""

    Config = Config
    needs_rounded_weights = True

    def begin(self, batches: Sequence[Batch]) -> None:
        """Calibrate the grids and start tracking the codes.

        Raises UsageError if the quantizer's levels do not keep their codes.
        """
        super().begin(batches)
        weights = latent_weights(self.model)
        self.weights = {name: pair for name, pair in weights.items() if pair[1].bits <= self.config.max_bits}
        for w_latent, quantizer in self.weights.values():
            codes = quantizer.codes(w_latent.detach())
            level = quantizer.denormalize(quantizer.dequantize(codes), w_latent)
            if not torch.equal(quantizer.codes(level), codes):
                expected = "expected a quantizer whose levels keep their codes, such as lsq"
                raise UsageError(f"freeze: {expected}, got {type(quantizer).__name__}")
        self.tracked = Oscillation(self._codes(), self.config.momentum)
        self.perturbation = Perturbation(self.model, space="quantized")

    @property
    def compilable(self) -> bool:
        """False: the gradients at rounded weights are recorded by hooks."""
        return False

    @property
    def threshold(self) -> float:
        """f_th after the steps taken so far."""
        progress = self.steps_done / max(1, self.total_steps)
        return half_cosine(progress, self.config.threshold, self.config.threshold_end)

    @torch.no_grad()
    def _codes(self) -> Tensor:
        """Return the codes of all tracked weights as one vector, so that few operations treat them."""
        codes = [quantizer.codes(w_latent).flatten() for w_latent, quantizer in self.weights.values()]
        return torch.cat(codes) if codes else torch.zeros(0, dtype=torch.int32)

    def by_name(self, vector: Tensor) -> dict[str, Tensor]:
        """Return the parts of a vector over all tracked weights, in the shapes of the weights."""
        parts = vector.split([w_latent.numel() for w_latent, _ in self.weights.values()])
        pairs = zip(self.weights.items(), parts, strict=True)
        return {name: part.view_as(w_latent) for (name, (w_latent, _)), part in pairs}

    def gradient(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Correct the gradients of step sizes for frozen weights, whose codes are constant."""
        with self.perturbation.recorded() as shifts:
            logs = super().gradient(x, y)
        frozen, codes = self.by_name(self.tracked.frozen), self.by_name(self.tracked.codes)
        corrections = []
        for name, (w_latent, quantizer) in self.weights.items():
            grad = shifts[name].grad
            if grad is not None and quantizer.scale.requires_grad:
                with torch.no_grad():  # clipped codes are constant anyway
                    constant = grad * (frozen[name] & quantizer.in_range(w_latent))
                level = quantizer.dequantize(codes[name])
                corrections.append((quantizer.grad_scale(w_latent) * level * constant).sum())
        if corrections:
            torch.stack(corrections).sum().backward()
        return logs

    def step(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Take a QAT step, then freeze oscillating weights and put frozen ones on their levels."""
        logs = super().step(x, y)
        with torch.no_grad():
            state = self.tracked
            state.add(torch.where(state.frozen, state.codes, self._codes()))
            state.freeze(self.threshold)
            frozen, codes = self.by_name(state.frozen), self.by_name(state.codes)
            for name, (w_latent, quantizer) in self.weights.items():
                level = quantizer.denormalize(quantizer.dequantize(codes[name]), w_latent)
                torch.where(frozen[name], level, w_latent, out=w_latent)
        return logs

    def log(self) -> dict[str, Any]:
        """Return the number of tracked weights, the fraction frozen and the mean oscillation frequency."""
        state, count = self.tracked, len(self.tracked.frozen)
        frozen = int(state.frozen.sum())
        frequency = sum(float(part.sum()) for part in self.by_name(state.frequency).values())
        return {"tracked": count, "frozen": frozen / max(1, count), "oscillation": frequency / max(1, count)}


METHOD = Freeze
