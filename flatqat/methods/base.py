"""What a training rule is: `step(x, y)` is the whole update, the engine never sees a loss."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor, nn

from flatqat.methods.batchnorm import freeze_batchnorm, reestimate_batchnorm
from flatqat.methods.schedule import half_cosine
from flatqat.methods.settings import Between, CheckedConfig
from flatqat.quant.apply import calibrate, quantizers
from flatqat.quant.base import RangeInit
from flatqat.spec import Recipe

Batch = tuple[Tensor, Tensor]
Loss = Callable[[Any, Tensor], Tensor]
"""Of what the model gives, in whatever float type, and the labels."""

POLY_POWER = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What the engine hands to a rule: the model, already quantized, its task loss, and how to train.

    `amp` runs the forward pass under bfloat16 autocast. `val_loss()` is the mean task loss of the model as it
    stands, in eval mode, on in-distribution images held out from training; most rules never ask. `seed`
    is for what a rule draws at random.
    """

    model: nn.Module
    loss: Loss
    recipe: Recipe
    amp: bool = False
    val_loss: Callable[[], float] | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration(CheckedConfig):
    """How the grids start: `mse`, `minmax` and `percentile` from the data, `own` by the quantizer's rule.

    `percentile` lets the range end there, at both ends, for inputs and for each channel of a weight.

    `mse` is the default because short fine-tuning ends higher from it than from LSQ's own start: 83.6 against
    77.4% of 1,000 validation images (ResNet-20, CIFAR-10, 3 bits, 150 steps).
    """

    ranges: RangeInit = "mse"
    percentile: Annotated[float, Between(50, 100)] = 99.9


class Method:
    """Plain training with the optimizer and the schedule of the recipe; the base of every rule.

    A rule overrides `gradient` (what is written to `.grad`) or, if that is not enough, `step`. Class
    attributes say how the engine treats it: `parent` names the method whose final weights it starts from,
    `quantizes` whether the model gets quantizers, `trains` whether it means nothing without a training step,
    `reference` whether others are compared with it, `passes` how many forward and backward passes a step
    takes, and `version` goes up when the same input gives other numbers.
    """

    Config: ClassVar[type[Any]] = Calibration
    parent: ClassVar[str | None] = "pretrain"
    quantizes: ClassVar[bool] = True
    trains: ClassVar[bool] = True
    reference: ClassVar[bool] = False
    passes: ClassVar[int] = 1
    version: ClassVar[int] = 1

    def __init__(self, setup: Setup, config: Any = None) -> None:
        self.setup = setup
        self.config = self.Config() if config is None else config
        self.model = setup.model
        self.total_steps = self.steps(setup.recipe)
        self.steps_done = 0
        self.freezes_batchnorm = setup.recipe.frozen_batchnorm and self.parent is not None
        self.optimizer = _optimizer(self.model, setup.recipe, self.learning_rate)

    @classmethod
    def steps(cls, recipe: Recipe) -> int:
        """How many steps the rule takes in a recipe."""
        return recipe.steps

    @property
    def peak_learning_rate(self) -> float:
        return self.setup.recipe.lr

    @property
    def learning_rate(self) -> float:
        return self.peak_learning_rate * self.schedule

    @property
    def schedule(self) -> float:
        """The share of the peak, from one to zero over the steps of this rule, or one throughout.

        A cosine, or `poly`, (1 - t)^0.9, as in segmentation (Chen et al. 2017, arXiv 1606.00915, section 4).
        """
        if self.setup.recipe.schedule == "constant":
            return 1.0
        done = self.steps_done / max(1, self.total_steps)
        if self.setup.recipe.schedule == "poly":
            return float((1 - done) ** POLY_POWER)
        return half_cosine(done)

    def begin(self, batches: Sequence[Batch]) -> None:
        """Before the first step: set the grids from calibration batches."""
        images = [images for images, _ in batches]
        calibrate(self.model, images, self.config.ranges, self.config.percentile)

    def step(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """One update from images (B, 3, H, W) and labels, (B,) or label maps (B, H, W).

        Returns scalars to log, with the key `loss`.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate
        self.model.train()
        if self.freezes_batchnorm:
            freeze_batchnorm(self.model)
        self.optimizer.zero_grad()
        logs = self.gradient(x, y)
        self.optimizer.step()
        self.steps_done += 1
        return logs

    def gradient(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Write the gradient of the training loss to every parameter's `.grad`."""
        return {"loss": self.task_gradient(x, y)}

    def task_gradient(self, x: Tensor, y: Tensor) -> Tensor:
        """Add the gradient of the task loss to `.grad`; returns the loss, detached."""
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.setup.amp):
            output = self.model(x)
        loss = self.setup.loss(output, y)
        loss.backward()
        return loss.detach()

    def log(self) -> dict[str, Any]:
        """What is worth keeping in the record besides the loss, as plain JSON values."""
        return {}

    def end(self, batches: Sequence[Batch]) -> None:
        """After the last step: BatchNorm statistics of the final weights, the same way for every rule.

        Changes nothing but the model's state, so that the engine can look at a model before its last step.
        """
        if not self.freezes_batchnorm:
            reestimate_batchnorm(self.model, [images for images, _ in batches])


def _optimizer(model: nn.Module, recipe: Recipe, lr: float) -> torch.optim.Optimizer:
    groups = _parameter_groups(model, recipe.weight_decay)
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups, lr=lr)
    return torch.optim.SGD(groups, lr=lr, momentum=recipe.momentum)


def _parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay acts on weights alone: not on biases and BatchNorm, nor on what quantizers learn unless
    they say so (`Quantizer.decayed`)."""
    learned = {
        id(p): name in q.weight_decayed for _, q in quantizers(model) for name, p in q.named_parameters()
    }
    params = [p for p in model.parameters() if p.requires_grad]
    decayed = [p for p in params if learned.get(id(p), p.ndim > 1)]
    rest = [p for p in params if not learned.get(id(p), p.ndim > 1)]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]
