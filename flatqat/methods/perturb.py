"""Move the weights for one pass and put them back: what rules that look beyond the minimum share.

Where the weights of quantized layers move is a `space`. `latent` moves W: the network runs at Q(W + e), and
what of e stays below the next rounding threshold has no effect. `quantized` moves behind the rounding, at
Q(W) + e, and has the gradient there, clipped weights included, which the straight-through estimator cuts
off from W. Liu et al. 2021 (arXiv 2111.12273) call the first trouble diminishment. Without weight
quantizers the two are the same.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from flatqat.quant.apply import latent_weights, quantizers
from flatqat.quant.base import Quantizer

Space = Literal["latent", "quantized"]
Tensors = dict[str, Tensor]
EPS = 1e-12


class Perturbation:
    """The tensors of a model that are moved, by name: weights, biases, and BatchNorm's γ and β.

    What belongs to quantizers (step sizes) stays unless `scales`. Everything is by the parameter's name, in
    the space `quantized` by the name of the latent weight.
    """

    def __init__(self, model: nn.Module, *, space: Space = "latent", scales: bool = False) -> None:
        behind = latent_weights(model) if space == "quantized" else {}
        self.rounded = {name: pair for name, pair in behind.items() if pair[0].requires_grad}
        own = {id(p) for _, quantizer in quantizers(model) for p in quantizer.parameters()}
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.scale_names = {name for name, p in trained.items() if id(p) in own}
        self.direct = {
            name: p
            for name, p in trained.items()
            if name not in self.rounded and (scales or name not in self.scale_names)
        }

    @torch.no_grad()
    def points(self) -> Tensors:
        """Where everything stands: parameters, or Q(W)."""
        rounded = {name: quantizer(w_latent) for name, (w_latent, quantizer) in self.rounded.items()}
        return {name: p.detach() for name, p in self.direct.items()} | rounded

    @contextmanager
    def watched(self) -> Iterator[Tensors]:
        """Within, gradients at Q(W) are kept too; gives what `slopes` reads them from after the backward."""
        shifts = {name: torch.zeros_like(w).requires_grad_() for name, (w, _) in self.rounded.items()}
        with self._shifted(shifts):
            yield shifts

    def slopes(self, shifts: Tensors) -> Tensors:
        """The gradient of all that moves and took part in the backward."""
        tensors = {**self.direct, **shifts}
        return {name: t.grad for name, t in tensors.items() if t.grad is not None}

    @contextmanager
    def moved(self, by: Tensors) -> Iterator[None]:
        """Within, everything stands at its point plus `by`; afterwards where it was, to the bit."""
        kept = {name: p.detach().clone() for name, p in self.direct.items() if name in by}
        with torch.no_grad():
            for name in kept:
                self.direct[name].add_(by[name])
        try:
            with self._shifted({name: by[name] for name in self.rounded if name in by}):
                yield
        finally:
            with torch.no_grad():
                for name, value in kept.items():
                    self.direct[name].copy_(value)

    @contextmanager
    def _shifted(self, shifts: Tensors) -> Iterator[None]:
        with ExitStack() as stack:
            for name, shift in shifts.items():
                handle = self.rounded[name][1].register_forward_hook(_adds(shift))
                stack.callback(handle.remove)
            yield


def take_gradients(model: nn.Module) -> Tensors:
    """Every parameter's gradient by name; the parameters have none afterwards."""
    taken = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    for p in model.parameters():
        p.grad = None
    return taken


def norm(tensors: Mapping[str, Tensor]) -> Tensor:
    """The Euclidean norm over all tensors together."""
    norms = torch.stack([torch.linalg.vector_norm(tensor) for tensor in tensors.values()])
    whole: Tensor = torch.linalg.vector_norm(norms)
    return whole


def _adds(shift: Tensor) -> Any:
    def hook(quantizer: Quantizer, args: tuple[Any, ...], output: Tensor) -> Tensor:
        return output + shift

    return hook
