"""How long and how a suite trains. Standard library only."""

from dataclasses import dataclass
from typing import Literal

from flatqat.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How long and how a suite trains: optimisation steps, not epochs, so that cost is known beforehand.

    `select_every` steps the model is scored on `val`, and the best weights of those are kept besides the last
    ones (0: the last ones alone). With `frozen_batchnorm` the start's BatchNorm statistics stay; training
    from scratch, which makes the start, estimates them.
    """

    pretrain_steps: int
    steps: int
    batch_size: int = 128
    pretrain_lr: float = 0.1
    lr: float = 0.01
    weight_decay: float = 1e-4
    momentum: float = 0.9
    bn_batches: int = 20
    calibration_batches: int = 4
    flatness_images: int = 256
    flatness_draws: int = 20
    optimizer: Literal["sgd", "adam"] = "sgd"
    schedule: Literal["cosine", "constant", "poly"] = "cosine"
    frozen_batchnorm: bool = False
    select_every: int = 0

    def __post_init__(self) -> None:
        at_least = {
            "pretrain_steps": 0,
            "steps": 0,
            "batch_size": 1,
            "pretrain_lr": 0,
            "lr": 0,
            "weight_decay": 0,
            "momentum": 0,
            "bn_batches": 0,
            "calibration_batches": 1,
            "flatness_images": 1,
            "flatness_draws": 2,
            "select_every": 0,
        }
        for name, low in at_least.items():
            if getattr(self, name) < low:
                raise UsageError(f"recipe.{name}: expected at least {low}, got {getattr(self, name)}")
        if self.momentum >= 1:
            raise UsageError(f"recipe.momentum: expected less than 1, got {self.momentum}")
