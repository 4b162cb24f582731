"""Typed parts of made-up records, with defaults for what a test does not look at."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from flatqat.spec import (
    Eigenvalue,
    Environment,
    MeanRise,
    Protocol,
    QuantSpec,
    Recipe,
    Score,
    ShiftInfo,
    SpaceFlatness,
    TrainLog,
    WorstRise,
)


def shift_info(
    family: str, *, severity: int | None = None, image_set: str = "id", in_mean: bool = True
) -> ShiftInfo:
    return ShiftInfo(family=family, severity=severity, image_set=image_set, in_mean=in_mean)


def protocol(shifts: Mapping[str, ShiftInfo], **fields: Any) -> Protocol:
    defaults: dict[str, Any] = {
        "suite": "made up",
        "data": "d",
        "reference": False,
        "parent": "start.safetensors",
        "recipe": Recipe(pretrain_steps=0, steps=5),
        "quant": QuantSpec(weight_bits=4, act_bits=4),
        "method": {},
    }
    return Protocol(**{**defaults, **fields}, shifts=shifts)


def scores_of(right: Mapping[str, np.ndarray]) -> dict[str, dict[str, Score]]:
    """Each shift's top-1 is that of its outcomes; the other numbers are made up."""
    return {
        shift: {
            "top1": Score(value=100 * float(images.mean()), n=len(images), stderr=1.5),
            "nll": Score(value=1.0, n=len(images)),
            "ece": Score(value=2.0, n=len(images)),
        }
        for shift, images in right.items()
    }


def margins_of(right: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays to store with a record: a margin is positive where an image is right."""
    return {f"{shift}:margin": np.where(images, 1, -1).astype(np.float16) for shift, images in right.items()}


def train_log(steps: int = 5) -> TrainLog:
    return TrainLog(steps=steps, last_loss=0.5, seconds=1.0)


def environment(threads: int = 1) -> Environment:
    return Environment(device="cpu", threads=threads, flatqat="0", python="3", packages={"torch": "2.0"})


def space_flatness(value: float = 1.0, **fields: Any) -> SpaceFlatness:
    """Every default measure is proportional to `value`, or a power of it."""
    defaults = {
        "space": "quantized",
        "acts": "on",
        "images": 8,
        "seed": 0,
        "loss": 0.5,
        "weight_norm": 10.0,
        "lambda_max": Eigenvalue(value=value, residual=1e-4),
        "sharpness_avg": {
            r: MeanRise(value=value * float(r), stderr=0.1, draws=2) for r in ("0.05", "0.1", "0.2")
        },
        "sharpness_sam": WorstRise(value=2 * value, rho=0.05),
        "sharpness_asam": WorstRise(value=value**2, rho=0.5),
    }
    return SpaceFlatness(**{**defaults, **fields})
