"""anchor-QAT: full-precision anchor weights W_a pull on the quantized weights.

    L_task(Q(W)) + λ · ‖W_a − W_q‖²,   W_a moved by the regularizer alone and discarded at inference.

Taken literally (W_q := Q(W_a) at every step, and only the regularizer moves W_a), no stored weight ever
receives the gradient of the task loss, and nothing is learned. The variants that train keep a latent W with
the straight-through gradient and differ in what is pulled where (`coupling`):

    ema      W: g + 2λ (Q(W) − W_a) inside the range;   W_a ← (1 − β) W_a + β Q(W)
    elastic  W: g + 2λ (W − W_a);                        W_a ← (1 − β) W_a + β W      (EASGD, one worker)
    dampen   W: g + 2λ (W − Q(W));                       W_a ← (1 − β) W_a + β W      (Nagel et al. 2022)
    dual     W: g + 2λ (Q(W) − W_a) inside the range;    W_a: g_a + 2λ (W_a − Q(W))

with g the task gradient and λ = `strength`. The anchor's step is the closed form of gradient descent on the
regularizer, not a step of the optimizer; with `beta=none`, β = 2 · lr · λ. W := W_a after every
`requantize_every` steps (0: never). `deploy` selects what is quantized at the end, the `anchor` or the
`latent` weights. Biases, BatchNorm and step sizes have no anchor and are trained as in QAT. Q(W) and W_a are
in the scale of W: if a quantizer normalizes weights first (dorefa, apot), its levels are mapped back.

In `dual` both W and W_a carry the task loss and are stepped by the optimizer, so that there is no β. g_a is
the gradient of a second pass over the batch with W_a, neither rounded nor normalized, in place of Q(W), and
all else the same: inputs are quantized, and random layers draw the same numbers. What has no anchor gets its
gradient, and BatchNorm its running statistics, from the first pass alone.

Relatives: EASGD (Zhang et al. 2015, arXiv 1412.6651), oscillation dampening (arXiv 2203.11086,
whose pull, unlike that of `dampen` here, ends at the range), SWA.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from flatqat.errors import UsageError
from flatqat.methods.base import Batch, Calibration, Method, Setup
from flatqat.methods.batchnorm import preserved_statistics
from flatqat.methods.perturb import drawn_again, replaced, take_gradients
from flatqat.methods.settings import AtLeast, Between
from flatqat.quant.apply import disabled, latent_weights
from flatqat.quant.base import Quantizer

BETA = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(Calibration):
    """The settings of `anchor`, explained in the module docstring."""

    coupling: Literal["ema", "elastic", "dampen", "dual"] = "ema"
    strength: Annotated[float, AtLeast(0)] = 0.1
    beta: Annotated[float | None, Between(0, 1)] = BETA
    requantize_every: Annotated[int, AtLeast(0)] = 0
    deploy: Literal["anchor", "latent"] = "anchor"

    def __post_init__(self) -> None:
        """Raise UsageError for a setting outside its range, and for a β where there is none."""
        Calibration.__post_init__(self)
        if self.coupling == "dual" and self.beta != BETA:
            expected = "expected none with coupling=dual, where the optimizer moves the anchors"
            raise UsageError(f"anchor.beta: {expected}, got {self.beta}; leave the setting out")


class Anchor(Method):
    """Quantization-aware training with full-precision anchor weights that pull on the quantized ones."""

    Config = Config
    needs_rounded_weights = True

    def __init__(self, setup: Setup, config: Any = None) -> None:
        super().__init__(setup, config)
        self.weights = list(latent_weights(self.model).values())
        self._anchors = [w_latent.detach().clone() for w_latent, _ in self.weights]
        self._due: float | None = None  # the β of the last step, if the anchors are still to be moved by it
        if self.config.coupling == "dual":
            decay = self.setup.recipe.weight_decay
            self.optimizer.add_param_group({"params": self._anchors, "weight_decay": decay})

    @classmethod
    def passes_with(cls, config: Any) -> int:
        """Return 2 with `coupling=dual`, where the anchors carry the task loss, too."""
        return 2 if config.coupling == "dual" else cls.passes

    @property
    def anchors(self) -> list[Tensor]:
        """The anchor of each quantized weight, in the order of `weights`."""
        self._settle()
        return self._anchors

    def gradient(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Add the pull of the anchors to the task gradient."""
        dual = self.config.coupling == "dual"
        with drawn_again(x.device) if dual else nullcontext(), self._rounded() as rounded:
            logs = super().gradient(x, y)
        self._pull(rounded)
        if dual:
            logs["loss_anchor"] = self._anchor_gradient(x, y, rounded)
        return logs

    def step(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Take a QAT step, then move the anchors."""
        beta = 2 * self.learning_rate * self.config.strength if self.config.beta is None else self.config.beta
        logs = super().step(x, y)
        self._due = None if self.config.coupling == "dual" else beta  # else the optimizer has moved them
        if self.config.coupling != "ema":  # else Q(W) is what the next forward pass computes anyway
            self._settle()
        if self.config.requantize_every and self.steps_done % self.config.requantize_every == 0:
            self._reset_to_anchors()
        return logs

    @contextmanager
    def _rounded(self) -> Iterator[dict[Quantizer, Tensor]]:
        """Collect Q(W), as the quantizers return it, within the context; nothing of a compiled network."""
        rounded: dict[Quantizer, Tensor] = {}

        def keep(quantizer: Any, _: Any, value: Tensor) -> None:
            rounded[quantizer] = value.detach()

        with ExitStack() as hooks:
            for _, quantizer in () if self.compiles else self.weights:
                hooks.enter_context(quantizer.register_forward_hook(keep))
            yield rounded

    @torch.no_grad()
    def _settle(self) -> None:
        """Move the anchors if they are due."""
        beta, self._due = self._due, None
        if beta is None or not self.weights:
            return
        ema = self.config.coupling == "ema"
        targets = [quantizer.in_weight_scale(w) if ema else w for w, quantizer in self.weights]
        torch._foreach_lerp_(self._anchors, targets, beta)

    @torch.no_grad()
    def _pull(self, rounded: Mapping[Quantizer, Tensor]) -> None:
        """Add the pull to every gradient, from Q(W) as the forward pass has rounded it; move what is due."""
        beta, self._due = self._due or 0.0, None
        coupling, by = self.config.coupling, 2 * self.config.strength
        for (w, quantizer), anchor in zip(self.weights, self._anchors, strict=True):
            if coupling in ("ema", "dual") and w.grad is not None:
                quantizer.attract_(w.grad, anchor, w, _level(w, quantizer, rounded), beta, by)
            elif coupling == "ema":  # a layer that was not used
                anchor.lerp_(_level(w, quantizer, rounded), beta)
            elif w.grad is not None:
                to = anchor if coupling == "elastic" else _level(w, quantizer, rounded)
                w.grad.add_((w - to).mul_(by))

    def _anchor_gradient(self, x: Tensor, y: Tensor, rounded: Mapping[Quantizer, Tensor]) -> Tensor:
        """Write the gradients of `dual` to the anchors' `.grad` and return their task loss."""
        weights, first = [w for w, _ in self.weights], take_gradients(self.model)
        with (
            replaced(weights, self._anchors),
            disabled(self.model, roles=("weight",)),
            preserved_statistics(self.model),
        ):
            loss = self.task_gradient(x, y)
        grads = [w.grad for w in weights]
        for name, p in self.model.named_parameters():
            p.grad = first.get(name)
        with torch.no_grad():
            for (w, quantizer), anchor, grad in zip(self.weights, self._anchors, grads, strict=True):
                if grad is not None:
                    pull = anchor - _level(w, quantizer, rounded)
                    anchor.grad = grad.add_(pull, alpha=2 * self.config.strength)
        return loss

    @torch.no_grad()
    def _reset_to_anchors(self) -> None:
        for (w, _), anchor in zip(self.weights, self.anchors, strict=True):
            w.copy_(anchor)

    def end(self, batches: Sequence[Batch]) -> None:
        """Deploy the anchors, unless `deploy` is `latent`."""
        if self.config.deploy == "anchor":
            self._reset_to_anchors()
        super().end(batches)


def _level(w: Tensor, quantizer: Quantizer, rounded: Mapping[Quantizer, Tensor]) -> Tensor:
    """Return Q(W) in the scale of W, from what the forward pass rounded, if that is known."""
    known = rounded.get(quantizer)
    return quantizer.in_weight_scale(w) if known is None else quantizer.denormalize(known, w)


METHOD = Anchor
