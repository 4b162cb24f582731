"""How long and how a suite trains. Standard library only."""

from dataclasses import dataclass
from typing import Literal

from flatqat.errors import UsageError
from flatqat.spec.reading import added

LARGEST_SIDE = 4096
LARGEST_NUMBER = 3.4e38
"""What still fits into float32, in which networks compute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How long and how a suite trains, in optimization steps: the cost of epochs would depend on the data.

    Attributes:
        pretrain_steps: Training steps of the full-precision parent.
        steps: Training steps of a method.
        batch_size: Images per step. Several source domains share it equally, rounded down: 128 over three
            domains is 126 images.
        pretrain_lr: The peak learning rate of the parent.
        lr: The peak learning rate of a method.
        weight_decay: The weight decay.
        momentum: The momentum of SGD.
        bn_batches: Batches that BatchNorm statistics are re-estimated on after training.
        calibration_batches: Batches that quantization ranges are initialized on.
        flatness_images: Training images that flatness is measured on.
        flatness_draws: Random perturbations for each radius of the mean sharpness.
        optimizer: The optimizer.
        schedule: How the learning rate falls.
        frozen_batchnorm: Whether the parent's BatchNorm statistics stay; the parent estimates them. Those of
            weights on another scale (`Quantizer.rescales`) never stay.
        select_every: Steps between two scores on `val`, of which the best step's weights are deployed; with
            0 those of the last step are.
        select_images: Images of `val` that these scores are of, a fixed random choice; 0 for all.
        image_size: The side of images in pixels, in training and evaluation, where a suite's images vary in
            size; 0 for that of the suite or the model.
        channels_last: Whether the channels of a pixel lie together in memory, in training and evaluation:
            faster for most convolutional networks on a CPU, with other last digits.
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
    select_images: int = added(0)
    image_size: int = added(0)
    channels_last: bool = added(False)

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
            "select_images": 0,
            "image_size": 0,
        }
        for name, low in at_least.items():
            if not getattr(self, name) >= low:  # nor is NaN
                raise UsageError(f"recipe.{name}: expected at least {low}, got {getattr(self, name)}")
        for name in ("pretrain_lr", "lr", "weight_decay"):
            if not getattr(self, name) <= LARGEST_NUMBER:
                expected = f"expected at most {LARGEST_NUMBER}, since networks compute in float32"
                raise UsageError(f"recipe.{name}: {expected}, got {getattr(self, name)}")
        if self.momentum >= 1:
            raise UsageError(f"recipe.momentum: expected less than 1, got {self.momentum}")
        if self.image_size > LARGEST_SIDE:
            raise UsageError(f"recipe.image_size: expected at most {LARGEST_SIDE}, got {self.image_size}")
        if self.select_images and not self.select_every:
            expected = "expected none without recipe.select_every, which says when they are scored"
            raise UsageError(f"recipe.select_images: {expected}, got {self.select_images}")
