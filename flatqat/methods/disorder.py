"""Freezing by gradient disorder on top of SAGM: the mechanism of the reconstructions `fqat` and `gaqat`.

With g_t the task gradient of a unit at step t, and g′_t the one that SAGM takes at the perturbed point:

    d = 1/(n − 1) · Σ 1[sign g_t ≠ sign g_{t+1}]   over the last n steps;   0.5 for random signs

`task` compares the signs of g, `smooth` those of g′, and `conflict` is the fraction of steps with sign g_t ≠
sign g′_t. Every K steps the units with d > r (`high`) or d < r (`low`) are frozen and all others released. A
unit is the step size of one quantizer, by the mean of its gradient over channels. With `layer_all` it is a
layer with its weight, bias and step sizes, by the means of the step sizes' gradients. If a model learns no
step size, a unit is a layer whatever the target, by the gradient of its weight, element by element.

Freezing means: `scale_task_grad` removes the task gradient, so that the unit steps along ½ g′; with
`scale_all` and `layer_all` the unit does not change at all, momentum and weight decay included.

Controls: `never` (equal to `sagm`), `always`, `alternate` (all units, on and off every K steps, starting with
off), and `random`: as many units as the disorder would freeze, chosen at random each time.
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
from flatqat.methods.perturb import Tensors, gradients
from flatqat.methods.settings import AtLeast, Between
from flatqat.quant.apply import quantizable, quantizers

DisorderKind = Literal["task", "smooth", "conflict"]
FreezeTarget = Literal["layer_all", "scale_all", "scale_task_grad"]
FreezeWhen = Literal["low", "high"]
MOST_LOGGED = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(sagm.Config):
    """The settings of `fqat` and `gaqat`, explained in the module docstring."""

    freeze_target: FreezeTarget = "layer_all"
    freeze_when: FreezeWhen = "high"
    window: Annotated[int, AtLeast(2)] = 50
    every: Annotated[int, AtLeast(1)] = 50
    threshold: Annotated[float, Between(0, 1)] = 0.5
    disorder: DisorderKind = "task"
    control: Literal["none", "random", "always", "never", "alternate"] = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """Parameters that are frozen together.

    Attributes:
        parameters: Their names.
        watched: Names of the parameters whose gradients determine the disorder.
        pooled: Whether the mean of each of these gradients counts, instead of every element.
    """

    parameters: tuple[str, ...]
    watched: tuple[str, ...]
    pooled: bool

    def watched_gradients(self, gradients: Mapping[str, Tensor]) -> list[Tensor]:
        """Return the watched gradients or, if they are pooled, their means, each flat."""
        watched = [gradients[name].flatten() for name in self.watched]
        return [g.mean().view(1) if self.pooled and len(g) > 1 else g for g in watched]


def find_units(model: nn.Module, target: FreezeTarget) -> list[Unit]:
    """Return one unit per quantizer that learns, or per layer, as the module docstring explains."""
    names = {id(p): name for name, p in model.named_parameters() if p.requires_grad}

    def names_of(parameters: Iterable[Tensor]) -> tuple[str, ...]:
        return tuple(names[id(p)] for p in parameters if id(p) in names)

    scales = [unit for _, quantizer in quantizers(model) if (unit := names_of(quantizer.parameters()))]
    if scales and target != "layer_all":
        return [Unit(parameters=unit, watched=unit, pooled=True) for unit in scales]
    learned = {name for unit in scales for name in unit}
    units = []
    for layer in quantizable(model).values():
        own = names_of(layer.parameters())
        steps = tuple(name for name in own if name in learned)
        weight = names_of(p for p in layer.parameters() if p.ndim > 1)
        if own:
            units.append(Unit(parameters=own, watched=steps or weight, pooled=bool(steps)))
    return units


class Disorder:
    """The disorder of each unit over the last `window` steps."""

    def __init__(self, kind: DisorderKind, window: int) -> None:
        self.kind = kind
        self.previous: Tensor | None = None
        self.differing: deque[Tensor] = deque(maxlen=window if kind == "conflict" else window - 1)

    def add(self, task: Sequence[Sequence[Tensor]], smooth: Sequence[Sequence[Tensor]]) -> None:
        """Add both gradients of each unit at one step, each in one or more flat tensors."""
        units = smooth if self.kind == "smooth" else task
        signs = _signs(units)
        reference = _signs(smooth) if self.kind == "conflict" else self.previous
        self.previous = signs
        if reference is not None:
            differing = (signs != reference).float().split([sum(map(len, parts)) for parts in units])
            self.differing.append(torch.stack([unit.mean() for unit in differing]))

    @property
    def values(self) -> Tensor | None:
        """The disorder d of every unit; None until the window is full."""
        is_full = len(self.differing) == self.differing.maxlen
        return torch.stack(list(self.differing)).mean(0).cpu() if is_full else None


def _signs(units: Sequence[Sequence[Tensor]]) -> Tensor:
    return torch.cat([part for unit in units for part in unit]).sign()


class DisorderFreezing(sagm.SAGM):
    """SAGM that freezes units by their gradient disorder; the base of `fqat` and `gaqat`."""

    Config = Config

    def begin(self, batches: Sequence[Batch]) -> None:
        """Calibrate the grids and find the units."""
        super().begin(batches)
        self.units = find_units(self.model, self.config.freeze_target)
        watched = {name for unit in self.units for name in unit.watched}
        self.watched = {name: p for name, p in self.model.named_parameters() if name in watched}
        self.disorder = Disorder(self.config.disorder, self.config.window)
        self._freeze(torch.full((len(self.units),), self.config.control == "always"))
        self.generator = torch.Generator().manual_seed(self.setup.seed)
        self.unit_steps = 0
        self.frozen_fractions: list[float] = []
        self.disorders: list[float | None] = []

    def step(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Take a SAGM step; every K steps decide what is frozen."""
        logs = super().step(x, y)
        self.unit_steps += len(self.frozen_units)
        if self.steps_done % self.config.every == 0 and self.units:
            self._decide()
        return logs

    @torch.no_grad()
    def combine(self, first: Tensors) -> None:
        """Combine the gradients as SAGM does, except those of frozen units."""
        if self.units:
            self.disorder.add(
                self._gradients_of_units(first), self._gradients_of_units(gradients(self.model))
            )
        names = {name for unit in self.frozen_units for name in unit.parameters}
        if self.config.freeze_target == "scale_task_grad":
            for name in names & first.keys():
                first[name].zero_()
        super().combine(first)
        if self.config.freeze_target != "scale_task_grad":
            for name, p in self.model.named_parameters():
                if name in names:
                    p.grad = None  # the optimizer skips it

    def _gradients_of_units(self, gradients: Tensors) -> list[list[Tensor]]:
        """Return the gradients of every unit, zero for what has none."""
        filled = {
            name: gradients[name] if name in gradients else torch.zeros_like(p)
            for name, p in self.watched.items()
        }
        return [unit.watched_gradients(filled) for unit in self.units]

    def _freeze(self, frozen: Tensor) -> None:
        """Freeze these units, a boolean tensor on the CPU, and no others."""
        self.frozen = frozen
        self.frozen_units = [unit for unit, is_it in zip(self.units, frozen.tolist(), strict=True) if is_it]

    def _decide(self) -> None:
        """Choose the units that are frozen for the next K steps: the only wait for the device."""
        d = self.disorder.values
        if self.config.control == "alternate":
            self._freeze(~self.frozen)
        elif d is not None and self.config.control in ("none", "random"):
            r = self.config.threshold
            frozen = d > r if self.config.freeze_when == "high" else d < r
            if self.config.control == "random":
                frozen = frozen[torch.randperm(len(d), generator=self.generator)]
            self._freeze(frozen)
        self.frozen_fractions.append(round(self.frozen.float().mean().item(), 4))
        self.disorders.append(None if d is None else round(d.mean().item(), 4))

    def log(self) -> dict[str, Any]:
        """Return the frozen fraction over all steps, and with the mean disorder at up to 50 decisions."""
        stride = max(1, ceil(len(self.frozen_fractions) / MOST_LOGGED))
        return {
            "units": len(self.units),
            "frozen": round(self.unit_steps / max(1, len(self.units) * self.steps_done), 4),
            "every": stride * self.config.every,
            "share": self.frozen_fractions[stride - 1 :: stride],
            "disorder": self.disorders[stride - 1 :: stride],
        }
