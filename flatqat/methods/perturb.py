"""Perturb the weights for one pass and restore them: shared by SAM, its relatives and `freeze`.

Tensors are treated together (`torch._foreach_*`), which on a GPU is one launch for many of them.

The `space` says where the weights of quantized layers are perturbed. `latent` perturbs W: the network runs at
Q(W + e), and any part of e that does not reach the next rounding threshold has no effect. `quantized`
perturbs after the rounding, at Q(W) + e, with the gradient at Q(W), which includes clipped weights; the
straight-through estimator would give those no gradient. Liu et al. 2021 (arXiv 2111.12273) call the first
problem diminishment. Without weight quantizers the two spaces are the same.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

from flatqat.quant.apply import latent_weights, quantizers

PerturbedSpace = Literal["latent", "quantized"]
Tensors = dict[str, Tensor]
EPS = 1e-12


class Perturbation:
    """The tensors of a model that are perturbed: weights, biases, and BatchNorm's γ and β.

    Parameters of quantizers (step sizes) are perturbed only with `scales`. All dicts of tensors are keyed by
    parameter name, in the space `quantized` by the name of the latent weight.
    """

    def __init__(self, model: nn.Module, *, space: PerturbedSpace = "latent", scales: bool = False) -> None:
        weights = latent_weights(model) if space == "quantized" else {}
        self.quantized = {name: pair for name, pair in weights.items() if pair[0].requires_grad}
        own = {id(p) for _, quantizer in quantizers(model) for p in quantizer.parameters()}
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.scale_names = {name for name, p in trained.items() if id(p) in own}
        excluded = self.quantized.keys() | (set() if scales else self.scale_names)
        self.direct = {name: p for name, p in trained.items() if name not in excluded}

    @torch.no_grad()
    def values(self) -> Tensors:
        """Return the current value of everything that is perturbed: parameters, or Q(W)."""
        quantized = {name: quantizer(w_latent) for name, (w_latent, quantizer) in self.quantized.items()}
        return {name: p.detach() for name, p in self.direct.items()} | quantized

    @contextmanager
    def recorded(self) -> Iterator[Tensors]:
        """Also record the gradients at Q(W) within the context, in tensors for `gradients` to read."""
        shifts = {name: torch.zeros_like(w).requires_grad_() for name, (w, _) in self.quantized.items()}
        with self._shifted(shifts):
            yield shifts

    def gradients(self, shifts: Tensors) -> Tensors:
        """Return the gradients of everything that is perturbed and took part in the backward pass."""
        return {name: t.grad for name, t in (self.direct | shifts).items() if t.grad is not None}

    @contextmanager
    def moved(self, offsets: Tensors) -> Iterator[None]:
        """Add `offsets` within the context; afterwards every value is restored bit for bit."""
        direct = {name: p for name, p in self.direct.items() if name in offsets}
        originals = [p.data for p in direct.values()]
        elsewhere = torch._foreach_add(originals, [offsets[name] for name in direct]) if direct else []
        shifts = {name: offsets[name] for name in self.quantized if name in offsets}
        with replaced(list(direct.values()), elsewhere), self._shifted(shifts):
            yield

    @contextmanager
    def _shifted(self, shifts: Tensors) -> Iterator[None]:
        with ExitStack() as hooks:
            for name, shift in shifts.items():
                quantizer = self.quantized[name][1]
                hooks.enter_context(quantizer.register_forward_hook(lambda *call, by=shift: call[-1] + by))
            yield


@contextmanager
def replaced(parameters: Sequence[Tensor], values: Iterable[Tensor]) -> Iterator[None]:
    """Put `values` in the place of those of parameters within the context; the originals lie untouched."""
    originals = [p.data for p in parameters]
    try:
        _put(parameters, values)
        yield
    finally:
        _put(parameters, originals)


def drawn_again(device: torch.device) -> AbstractContextManager[None]:
    """Return a context after which random layers on a device draw the same numbers again as within it."""
    return torch.random.fork_rng([device] if device.type == "cuda" else [])


def _put(parameters: Iterable[Tensor], values: Iterable[Tensor]) -> None:
    for p, value in zip(parameters, values, strict=True):
        p.data = value


def gradients(model: nn.Module) -> Tensors:
    """Return the gradient of every parameter that has one, by name."""
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def take_gradients(model: nn.Module) -> Tensors:
    """Return every parameter's gradient by name and clear `.grad`."""
    taken = gradients(model)
    model.zero_grad()
    return taken


def scaled(tensors: Tensors, factor: Tensor) -> Tensors:
    """Return factor · t of every tensor."""
    return dict(zip(tensors, torch._foreach_mul(list(tensors.values()), factor), strict=True))


def norm(tensors: Mapping[str, Tensor]) -> Tensor:
    """Return the Euclidean norm of all tensors together."""
    total: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(list(tensors.values()))))
    return total
