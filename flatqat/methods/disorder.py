"""Freezing by the disorder of gradients, over SAGM: the mechanism of the reconstructions `fqat` and `gaqat`.

With g_t the task gradient of a unit at step t, and g′_t the one that SAGM takes at the moved point:

    d = 1/(n − 1) · Σ 1[sign g_t ≠ sign g_{t+1}]   over the last n steps;   of random signs 0.5

`task` is of the signs of g, `smooth` of those of g′, `conflict` the share of steps with sign g_t ≠ sign g′_t.
Every K steps the units with d > r (`high`) or d < r (`low`) are frozen, the others set free, until the next
time. A unit is one quantizer's step size, by the mean of its gradient over channels; with `layer_all` it is a
layer with its weight, bias and step sizes, by the means of the step sizes' gradients. Where a model learns no
step size, a unit is a layer whatever the target, by the gradient of its weight, element by element.

Frozen means: `scale_task_grad` takes the task gradient away, so that the unit steps along ½ g′; `scale_all`
and `layer_all` let it stand still, momentum and weight decay included.

Controls: `never` (which is `sagm`), `always`, `alternate` (all units, on and off every K steps, off first),
and `random`: as many units as the disorder would freeze, drawn anew each time.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from flatqat.methods import sagm
from flatqat.methods.base import Batch
from flatqat.methods.perturb import Tensors
from flatqat.methods.settings import AtLeast, Between
from flatqat.quant.apply import quantizable, quantizers

Kind = Literal["task", "smooth", "conflict"]
Target = Literal["layer_all", "scale_all", "scale_task_grad"]
When = Literal["low", "high"]
MOST_LOGGED = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(sagm.Config):
    freeze_target: Target = "layer_all"
    freeze_when: When = "high"
    window: Annotated[int, AtLeast(2)] = 50
    every: Annotated[int, AtLeast(1)] = 50
    threshold: Annotated[float, Between(0, 1)] = 0.5
    disorder: Kind = "task"
    control: Literal["none", "random", "always", "never", "alternate"] = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What is frozen together: the names of its parameters, and of those whose gradients are watched.

    `pooled` watches the sign of each one's mean, otherwise those of all elements.
    """

    parameters: tuple[str, ...]
    watched: tuple[str, ...]
    pooled: bool

    def signs(self, gradients: Mapping[str, Tensor]) -> Tensor:
        """Flat; one zero for a unit that took no part."""
        found = [gradients[name] for name in self.watched if name in gradients]
        parts = [g.mean().view(1) if self.pooled else g.flatten() for g in found]
        return torch.cat(parts).sign() if parts else next(iter(gradients.values())).new_zeros(1)


def find_units(model: nn.Module, target: Target) -> list[Unit]:
    """One for each quantizer that learns, or for each layer: see above."""
    names = {id(p): name for name, p in model.named_parameters() if p.requires_grad}

    def of(parameters: Iterable[Tensor]) -> tuple[str, ...]:
        return tuple(names[id(p)] for p in parameters if id(p) in names)

    scales = [of(quantizer.parameters()) for _, quantizer in quantizers(model)]
    scales = [found for found in scales if found]
    if scales and target != "layer_all":
        return [Unit(parameters=found, watched=found, pooled=True) for found in scales]
    learned = {name for found in scales for name in found}
    units = []
    for layer in quantizable(model).values():
        own = of(layer.parameters())
        steps = tuple(name for name in own if name in learned)
        weight = of(p for p in layer.parameters() if p.ndim > 1)
        if own:
            units.append(Unit(parameters=own, watched=steps or weight, pooled=bool(steps)))
    return units


class Disorder:
    """The disorder of so many units over the last `window` steps."""

    def __init__(self, kind: Kind, window: int) -> None:
        self.kind = kind
        self.before: Sequence[Tensor] = ()
        self.differing: deque[Tensor] = deque(maxlen=window if kind == "conflict" else window - 1)

    def add(self, task: Sequence[Tensor], smooth: Sequence[Tensor]) -> None:
        """Take in the signs of both gradients of each unit at one step."""
        now = smooth if self.kind == "smooth" else task
        against = smooth if self.kind == "conflict" else self.before
        self.before = now
        if against:
            shares = [(a != b).float().mean() for a, b in zip(now, against, strict=True)]
            self.differing.append(torch.stack(shares))

    @property
    def values(self) -> Tensor | None:
        """d of every unit; None before the window is full."""
        if len(self.differing) < (self.differing.maxlen or 0):
            return None
        return torch.stack(list(self.differing)).mean(0).cpu()


class DisorderFreezing(sagm.SAGM):
    """SAGM in which units are frozen; `fqat` and `gaqat` are this with their defaults."""

    Config = Config

    def begin(self, batches: Sequence[Batch]) -> None:
        super().begin(batches)
        self.units = find_units(self.model, self.config.freeze_target)
        self.disorder = Disorder(self.config.disorder, self.config.window)
        self.frozen = torch.full((len(self.units),), self.config.control == "always")
        self.generator = torch.Generator().manual_seed(self.setup.seed)
        self.unit_steps = 0
        self.shares: list[float] = []
        self.disorders: list[float | None] = []

    def step(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        logs = super().step(x, y)
        self.unit_steps += int(self.frozen.sum())
        if self.steps_done % self.config.every == 0 and self.units:
            self._decide()
        return logs

    @torch.no_grad()
    def combine(self, first: Tensors) -> None:
        second = {name: p.grad for name, p in self.model.named_parameters() if p.grad is not None}
        self.disorder.add(
            [unit.signs(first) for unit in self.units], [unit.signs(second) for unit in self.units]
        )
        held = [unit for unit, is_frozen in zip(self.units, self.frozen, strict=True) if is_frozen]
        names = {name for unit in held for name in unit.parameters}
        if self.config.freeze_target == "scale_task_grad":
            for name in names & first.keys():
                first[name].zero_()
        super().combine(first)
        if self.config.freeze_target != "scale_task_grad":
            for name, p in self.model.named_parameters():
                if name in names:
                    p.grad = None  # the optimizer leaves it alone

    def _decide(self) -> None:
        """Freeze and set free for the next K steps."""
        d = self.disorder.values
        if self.config.control == "alternate":
            self.frozen = ~self.frozen
        elif d is not None and self.config.control in ("none", "random"):
            r = self.config.threshold
            self.frozen = d > r if self.config.freeze_when == "high" else d < r
            if self.config.control == "random":
                order = torch.randperm(len(d), generator=self.generator)
                self.frozen = self.frozen[order]
        self.shares.append(round(self.frozen.float().mean().item(), 4))
        self.disorders.append(None if d is None else round(d.mean().item(), 4))

    def log(self) -> dict[str, Any]:
        """The frozen share over all steps, and with the mean disorder at (at most 50 of) the decisions."""
        apart = max(1, ceil(len(self.shares) / MOST_LOGGED))
        return {
            "units": len(self.units),
            "frozen": round(self.unit_steps / max(1, len(self.units) * self.steps_done), 4),
            "every": apart * self.config.every,
            "share": self.shares[apart - 1 :: apart],
            "disorder": self.disorders[apart - 1 :: apart],
        }
