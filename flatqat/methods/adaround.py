"""AdaRound: learn layer by layer, from unlabeled images, whether each weight is rounded up or down.

    W̃ = s · clip(⌊W/s⌋ + h(V), qmin, qmax),   h(V) = clip(1.2 σ(V) − 0.1, 0, 1)
    min_V  E ‖W x − W̃ x̂‖² + λ Σ (1 − |2 h(V) − 1|^β)

in the order in which the layers run: x is the layer's input in the full-precision network, x̂ that in the
network whose earlier layers are rounded and whose inputs are quantized. ‖·‖² is the sum over output channels,
E the mean over images and positions. Initially W̃ = W. The regularizer is off for the first 20% of the
iterations, then β falls from 20 to 2 as a half cosine and drives every h to 0 or 1; at the end h ≥ ½ rounds
up. Ranges are those of `ptq`, and a channel whose error over all calibration images did not decrease keeps
the nearest rounding. Every final weight is one of the two levels around it; clipped weights stay clipped.

Source: Nagel et al. 2020, "Up or Down? Adaptive Rounding for Post-Training Quantization" (arXiv 2004.10568);
λ, β, batches of 32 and Adam are its values. It takes 10,000 iterations with Adam's learning rate of 0.001;
here, without `iterations`, there are 64 epochs over the calibration images (1,024 iterations for 512 images)
at ten times the rate, which allows V to move about as far. In the paper the activation function is part of
the layer; it cannot be identified in a general network, so here a layer is its convolution or product alone.
Quantizers that lose the magnitude of weights (dorefa, pact, apot, pot) are compared with W x all the same.
Layers that share a weight are rounded together, for the inputs of the first of them.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from math import ceil
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from flatqat.methods import ptq
from flatqat.methods.base import Batch
from flatqat.methods.schedule import half_cosine
from flatqat.methods.settings import AtLeast
from flatqat.quant.apply import TRANSPOSED, disabled, latent_weights, quantizers
from flatqat.quant.base import Quantizer
from flatqat.spec import Recipe

BETA_FIRST, BETA_LAST = 20.0, 2.0
STRETCH, SHIFT = 1.2, -0.1
WARM_UP = 0.2
EPOCHS = 64

Pairs = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(ptq.Config):
    """The settings of `adaround`; `images` is the batch size, `iterations` are per layer."""

    iterations: Annotated[int | None, AtLeast(0)] = None
    rate: Annotated[float, AtLeast(0)] = 0.01
    regularizer: Annotated[float, AtLeast(0)] = 0.01
    images: Annotated[int, AtLeast(1)] = 32


class AdaRound(ptq.PTQ):
    """Adaptive rounding (Nagel et al. 2020): post-training quantization with learned rounding directions."""

    Config = Config
    needs_rounded_weights = True
    version = 2  # 1: outputs as activations in place left them, small batches shown fewer times

    @classmethod
    def images_to_begin(cls, recipe: Recipe, config: Any) -> int:
        """Return the images of all iterations of one layer: layers together cost as much as the network."""
        if config.iterations is None:
            return EPOCHS * recipe.calibration_batches * recipe.batch_size
        return int(config.iterations * min(config.images, recipe.batch_size))

    def begin(self, batches: Sequence[Batch]) -> None:
        """Calibrate the grids, then learn the rounding of one layer after the other."""
        super().begin(batches)
        images = [images for images, _ in batches]
        default = ceil(EPOCHS * sum(map(len, images)) / min(self.config.images, len(images[0])))
        self.iterations = default if self.config.iterations is None else self.config.iterations
        self.generator = torch.Generator().manual_seed(self.setup.seed)
        self.errors: dict[str, Any] = {}
        originals = {name: w.detach().clone() for name, (w, _) in latent_weights(self.model).items()}
        latent = {id(quantizer): w_latent for w_latent, quantizer in latent_weights(self.model).values()}
        on_weight = {name: q for name, q in quantizers(self.model) if q.role == "weight"}
        layers = {name: self.model.get_submodule(name) for name in on_weight}
        training = self.model.training
        self.model.eval()
        for name, calls in calls_in_order(self.model, layers, images[0]).items():
            layer, quantizer = layers[name], on_weight[name]
            with torch.no_grad():
                pairs = inputs_and_targets(self.model, originals, layer, calls, images)
            with disabled(layer, roles=("input",)):  # `pairs` holds the quantized inputs
                self._round(name, layer, quantizer, latent[id(quantizer)], pairs)
        self.model.train(training)

    def _round(self, name: str, layer: nn.Module, quantizer: Quantizer, w: Tensor, pairs: Pairs) -> None:
        chosen = nearest = quantizer.codes(w)
        rounding, original = Rounding(quantizer, w.detach()), w.detach().clone()
        before = after = errors(layer, quantizer, quantizer.dequantize(nearest).detach(), pairs)
        if self.iterations:
            self._learn(layer, quantizer, rounding, pairs)
            learned = errors(layer, quantizer, quantizer.dequantize(rounding.codes).detach(), pairs)
            better = of_channels(learned < before, layer, w)
            chosen, after = torch.where(better, rounding.codes, nearest), torch.minimum(learned, before)
        with torch.no_grad():
            w.copy_(quantizer.denormalize(quantizer.dequantize(chosen), w))
            if not torch.equal(quantizer.codes(w), chosen):  # the grid depends on the weights
                w.copy_(original)
                chosen, after = nearest, before
        turned = round((chosen != nearest).float().mean().item(), 4)
        self.errors[name] = {"nearest": before.sum().item(), "learned": after.sum().item(), "turned": turned}

    def _learn(self, layer: nn.Module, quantizer: Quantizer, rounding: "Rounding", pairs: Pairs) -> None:
        optimizer = torch.optim.Adam([rounding.v], lr=self.config.rate)
        first = WARM_UP * self.iterations
        with quantizer.register_forward_hook(lambda *_: rounding.weight):
            for iteration in range(self.iterations):
                x, target = self._sample(pairs)
                loss = by_channel(layer, layer(x) - target).square().mean(1).sum()
                if iteration >= first:
                    beta = half_cosine((iteration - first) / (self.iterations - first), BETA_FIRST, BETA_LAST)
                    loss = loss + self.config.regularizer * rounding.undecided(beta)
                (rounding.v.grad,) = torch.autograd.grad(loss, rounding.v)
                optimizer.step()

    def _sample(self, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """Return random images of one batch, and their targets."""
        x, target = pairs[int(torch.randint(len(pairs), (), generator=self.generator))]
        index = torch.randperm(len(x), generator=self.generator)[: self.config.images]
        index = index.to(x.device, non_blocking=True)  # in each iteration: nothing waits for a few numbers
        return x[index], target[index]

    def log(self) -> dict[str, Any]:
        """Return each layer's error with nearest and learned rounding, and the fraction of weights turned."""
        return self.errors


class Rounding:
    """The two levels around every weight, and its learned position h(V) between them."""

    def __init__(self, quantizer: Quantizer, w: Tensor) -> None:
        with torch.no_grad():
            u, nearest = quantizer.normalize(w), quantizer.codes(w)
            below = nearest - (quantizer.dequantize(nearest) > u).int()
            self.lower = below.clamp(quantizer.qmin, quantizer.qmax)
            self.upper = (below + 1).clamp(quantizer.qmin, quantizer.qmax)
            self.bottom = quantizer.dequantize(self.lower)
            self.width = quantizer.dequantize(self.upper) - self.bottom
            position = torch.where(self.width > 0, (u - self.bottom) / self.width, 0.5).clamp(0, 1)
        self.v = torch.logit((position - SHIFT) / STRETCH).requires_grad_()

    @property
    def h(self) -> Tensor:
        """The position of each weight between its two levels, from 0 to 1."""
        return (STRETCH * self.v.sigmoid() + SHIFT).clamp(0, 1)

    @property
    def weight(self) -> Tensor:
        """The normalized weights at that position."""
        return self.bottom + self.h * self.width

    @property
    def codes(self) -> Tensor:
        """The codes of the levels that are nearer, the upper ones at h = ½."""
        return torch.where(self.h >= 0.5, self.upper, self.lower)

    def undecided(self, beta: float) -> Tensor:
        """Return Σ (1 − |2 h − 1|^β) over the weights that lie between two levels."""
        return ((1 - (2 * self.h - 1).abs().pow(beta)) * (self.width > 0)).sum()


def calls_in_order(model: nn.Module, layers: dict[str, nn.Module], images: Tensor) -> Counter[str]:
    """Return how often one forward pass calls each layer, in the order of their first calls."""
    calls: Counter[str] = Counter()
    with torch.no_grad(), ExitStack() as hooks:
        for name, layer in layers.items():
            hooks.enter_context(layer.register_forward_pre_hook(lambda *_, name=name: calls.update([name])))
        model(images)
    return calls


def inputs_and_targets(
    model: nn.Module, originals: dict[str, Tensor], layer: nn.Module, calls: int, images: Iterable[Tensor]
) -> Pairs:
    """Return (x̂, W x) for each batch and each of the first `calls` calls of a layer.

    x̂ is its quantized input, W x its output in the full-precision network with weights `originals`.
    """
    pairs: Pairs = []
    for batch in images:
        with disabled(model), recorded(layer.register_forward_hook, calls) as targets:
            functional_call(model, originals, (batch,))
        with recorded(layer.register_forward_pre_hook, calls) as inputs:
            model(batch)
        pairs += zip(inputs, targets, strict=True)
    return pairs


class _Recorded(Exception):
    """Ends a forward pass whose remainder is not needed."""


@contextmanager
def recorded(register: Callable[[Any], Any], calls: int) -> Iterator[list[Tensor]]:
    """Record a layer's first `calls` inputs or outputs by a hook; the last one ends the context."""
    tensors: list[Tensor] = []

    def hook(_: nn.Module, args: tuple[Tensor, ...], *output: Tensor) -> None:
        tensors.append((output[0] if output else args[0]).clone())  # later layers may work in place
        if len(tensors) == calls:
            raise _Recorded

    with register(hook), suppress(_Recorded):
        yield tensors


@torch.no_grad()
def errors(layer: nn.Module, quantizer: Quantizer, weight: Tensor, pairs: Pairs) -> Tensor:
    """Return E (W x − W̃ x̂)² over all calibration images, for each output channel."""
    with quantizer.register_forward_hook(lambda *_: weight):  # the layer computes with it
        sums = [by_channel(layer, (layer(x) - target).double().square()).sum(1) for x, target in pairs]
    return torch.stack(sums).sum(0) / sum(by_channel(layer, target).shape[1] for _, target in pairs)


def of_channels(values: Tensor, layer: nn.Module, w: Tensor) -> Tensor:
    """Return one value for each output channel in a shape that broadcasts to that of the layer's weight."""
    if not isinstance(layer, TRANSPOSED):
        return values.view(-1, *[1] * (w.ndim - 1))
    groups = layer.groups
    by_input = values.view(groups, 1, -1).expand(-1, len(w) // groups, -1)
    return by_input.reshape(len(w), -1, *[1] * (w.ndim - 2))


def by_channel(layer: nn.Module, output: Tensor) -> Tensor:
    """Return a layer's output as (channels, everything else)."""
    return output.movedim(-1 if isinstance(layer, nn.Linear) else 1, 0).flatten(1)


METHOD = AdaRound
