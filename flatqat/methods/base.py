"""The base class of methods: `step(x, y)` is one complete update, and the engine never handles a loss."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Annotated, Any, ClassVar, get_type_hints

import torch
from torch import Tensor, nn

from flatqat.errors import PluginError, UsageError, listed
from flatqat.methods.batchnorm import freeze_batchnorm, reestimate_batchnorm
from flatqat.methods.schedule import half_cosine
from flatqat.methods.settings import Between, CheckedConfig, kind_of, method_of
from flatqat.quant.apply import calibrate, quantizers
from flatqat.quant.base import PERCENTILE, RANGES, RangeInit
from flatqat.spec import Recipe

Batch = tuple[Tensor, Tensor]
POLY_POWER = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What the engine passes to a method.

    Attributes:
        model: The network, already quantized.
        loss: Maps (model output, labels) to the scalar task loss; the output may be in half precision.
        recipe: Optimizer, schedule and number of steps.
        amp: Whether the forward pass runs under bfloat16 autocast.
        compile: Whether forward and backward passes are compiled (`torch.compile`).
        val_loss: Returns the model's mean task loss in eval mode on held-out in-distribution images.
        seed: Seed for the method's own random numbers.
    """

    model: nn.Module
    loss: Callable[[Any, Tensor], Tensor]
    recipe: Recipe
    amp: bool = False
    compile: bool = False
    val_loss: Callable[[], float] | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration(CheckedConfig):
    """The settings of every method that quantizes: how the ranges of the grids are initialized.

    The default is `mse` because short fine-tuning reaches a higher accuracy from it than from LSQ's own
    initialization: 83.6% against 77.4% on 1,000 validation images (ResNet-20, CIFAR-10, 3 bits, 150 steps).

    Attributes:
        ranges: `mse`, `minmax` and `percentile` derive ranges from the data, `own` as the quantizer defines.
        percentile: Where a range ends, at both ends, per input and weight channel (`ranges=percentile`).
    """

    ranges: RangeInit = RANGES
    percentile: Annotated[float, Between(50, 100)] = PERCENTILE

    def __post_init__(self) -> None:
        """Raise UsageError for a setting outside its range, and for a percentile that nothing reads."""
        CheckedConfig.__post_init__(self)
        default = next(field.default for field in fields(self) if field.name == "percentile")
        if self.ranges != "percentile" and self.percentile != default:
            expected = f"expected none with ranges={self.ranges}, got {self.percentile}"
            raise UsageError(
                f"{method_of(type(self))}.percentile: {expected}; add ranges=percentile or leave it out"
            )


class Method:
    """Plain training with the optimizer and the schedule of the recipe; the base class of every method.

    A method overrides `gradient` (what is written to `.grad`) or, if that is not enough, `step`.

    Attributes:
        Config: The method's settings, a frozen dataclass with defaults.
        parent: Name of the method whose final weights this one starts from; None to train from scratch.
        quantizes: Whether the model gets quantizers.
        trains: Whether the method needs at least one training step to be meaningful.
        reference: Whether other methods are compared with it.
        needs_rounded_weights: Whether it acts on quantized weights alone. Cells that quantize activations
            alone are skipped: there it would be plain training or calibration under another name.
        passes: Number of forward and backward passes per step, at the defaults; see `passes_with`.
        version: Increased whenever the same input gives different numbers.
    """

    Config: ClassVar[type[Any]] = Calibration
    parent: ClassVar[str | None] = "pretrain"
    quantizes: ClassVar[bool] = True
    trains: ClassVar[bool] = True
    reference: ClassVar[bool] = False
    needs_rounded_weights: ClassVar[bool] = False
    passes: ClassVar[int] = 1
    version: ClassVar[int] = 1

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Raise PluginError on a Config that no cell could be made with."""
        super().__init_subclass__(**kwargs)
        expected = f"{cls.__name__}: expected Config to be a frozen dataclass, every setting with a default"
        params = vars(cls.Config).get("__dataclass_params__")  # not that of a class that it inherits from
        if params is None or not params.frozen:
            got = "none" if params is None else "one without frozen=True"
            raise PluginError(f"{expected}, got {got}; put @dataclass(frozen=True) before it")
        made = [field for field in fields(cls.Config) if field.init]
        if bare := [f.name for f in made if f.default is MISSING and f.default_factory is MISSING]:
            raise PluginError(f"{expected}, got none for {listed(bare)}")
        hints = get_type_hints(cls.Config)
        if other := [f.name for f in made if kind_of(hints[f.name]) is None]:
            raise PluginError(
                f"{cls.__name__}: expected settings that are bool, int, float, str or a Literal of texts, or "
                f"one of these or None, got another type of {listed(other)}"
            )

    def __init__(self, setup: Setup, config: Any = None) -> None:
        self.setup, self.model = setup, setup.model
        self.config = self.Config() if config is None else config
        self.total_steps, self.steps_done = self.steps(setup.recipe), 0
        self.freezes_batchnorm = setup.recipe.frozen_batchnorm and self.parent is not None
        if any(quantizer.rescales for _, quantizer in quantizers(self.model)):
            self.freezes_batchnorm = False  # the parent's statistics are of weights on another scale
        self.compiles = setup.compile and self.compilable
        if self.compiles:
            torch.compiler.reset()  # earlier networks count towards the limit of recompilations
        self.network = torch.compile(self.model) if self.compiles else self.model
        self.optimizer = _optimizer(self.model, setup.recipe, self.learning_rate)

    @classmethod
    def steps(cls, recipe: Recipe) -> int:
        """Return the number of steps that the method takes with a recipe."""
        return recipe.steps

    @classmethod
    def passes_with(cls, config: Any) -> int:
        """Return the number of forward and backward passes per step with some settings."""
        return cls.passes

    @classmethod
    def images_to_begin(cls, recipe: Recipe, config: Any) -> int:
        """Return on how many images, repeats included, `begin` computes gradients: for the time that is left.

        Calibration computes none.
        """
        return 0

    @property
    def compilable(self) -> bool:
        """Whether a compiled network serves: not where hooks come and go, which a compiler does not see."""
        return True

    @property
    def peak_learning_rate(self) -> float:
        """The learning rate before the schedule."""
        return self.setup.recipe.lr

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        return self.peak_learning_rate * self.schedule

    @property
    def schedule(self) -> float:
        """The learning rate as a fraction of its peak: 1 throughout, or from 1 to 0 over the method's steps.

        A half cosine; with `poly` (1 - t)^0.9, for segmentation: Chen et al. 2017, arXiv 1606.00915, sec. 4.
        """
        if self.setup.recipe.schedule == "constant":
            return 1.0
        done = self.steps_done / max(1, self.total_steps)
        if self.setup.recipe.schedule == "poly":
            return float((1 - done) ** POLY_POWER)
        return half_cosine(done)

    def begin(self, batches: Sequence[Batch]) -> None:
        """Set the grids from calibration batches; called before the first step."""
        calibrate(self.model, [x for x, _ in batches], self.config.ranges, self.config.percentile)

    def step(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Update the model once, from images (B, 3, H, W) and labels (B,) or label maps (B, H, W).

        Returns the scalars to log, among them `loss`.
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
        """Write the gradient of the training loss to every parameter's `.grad`.

        Returns the scalars to log as a dict of tensors, among them `loss`.
        """
        return {"loss": self.task_gradient(x, y)}

    def task_gradient(self, x: Tensor, y: Tensor) -> Tensor:
        """Add the gradient of the task loss to `.grad` and return the loss, detached."""
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.setup.amp):
            output = self.network(x)
        loss = self.setup.loss(output, y)
        loss.backward()
        return loss.detach()

    def log(self) -> dict[str, Any]:
        """Return what the record should hold besides the loss, as plain JSON values; called after `end`.

        A number that is not finite is null in the record.
        """
        return {}

    def end(self, batches: Sequence[Batch]) -> None:
        """Re-estimate the BatchNorm statistics for the final weights; called after the last step.

        It changes only the model's state, so that the engine can also evaluate a model before its last step.
        """
        if not self.freezes_batchnorm:
            reestimate_batchnorm(self.model, [x for x, _ in batches])


def loss_of(logs: Any) -> Tensor:
    """Return the loss from what `Method.step` returned. Raises PluginError if that has no scalar `loss`."""
    said = "expected `gradient` and `step` to return a dict with `loss`"
    if not isinstance(logs, Mapping):
        raise PluginError(f"{said}, got {'None' if logs is None else f'a {type(logs).__name__}'}")
    if "loss" not in logs:
        raise PluginError(f"{said}, got one with {listed(logs, empty='nothing')}")
    loss = logs["loss"]
    if not isinstance(loss, Tensor):
        raise PluginError(f"{said}, a scalar tensor, got a {type(loss).__name__}")
    if loss.numel() != 1:
        raise PluginError(f"{said}, a scalar tensor, got one of shape {tuple(loss.shape)}")
    return loss


def _optimizer(model: nn.Module, recipe: Recipe, lr: float) -> torch.optim.Optimizer:
    """Return the optimizer: weight decay applies to weights and to `Quantizer.weight_decayed` only."""
    learned = {
        id(p): name in q.weight_decayed for _, q in quantizers(model) for name, p in q.named_parameters()
    }
    params = [p for p in model.parameters() if p.requires_grad]
    decayed = [p for p in params if learned.get(id(p), p.ndim > 1)]
    rest = [p for p in params if not learned.get(id(p), p.ndim > 1)]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups, lr=lr)
    return torch.optim.SGD(groups, lr=lr, momentum=recipe.momentum)
