"""The frozen values that everything else passes around. Standard library only."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any, Literal

from flatqat.errors import UsageError
from flatqat.quantspec import QuantSpec as QuantSpec

SCHEMA = 1
IGNORED = 255
"""In a label map, a pixel without a label."""
Args = tuple[tuple[str, object], ...]
Status = Literal["done", "failed", "skipped"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """How a network wants its images cut, in pixels: the short side resized to `resize`, the middle cropped.

    With `squash` both sides are resized to `resize`, whatever the shape. Resizing is antialiased.
    """

    resize: int = 256
    crop: int = 224
    interpolation: Interpolation = "bilinear"
    squash: bool = False

    def __str__(self) -> str:
        size = f"{self.resize}x{self.resize}" if self.squash else f"short side {self.resize}"
        resized = f"resized to {size} ({self.interpolation}, antialiased)"
        whole = self.squash and self.resize == self.crop
        return f"{resized}, no crop" if whole else f"{resized}, centre crop {self.crop}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A window that slides over an image, and its steps, in pixels.

    As text `512x1024:256x512`, or `512:256` where both sides are alike.
    """

    height: int
    width: int
    stride_height: int
    stride_width: int

    def __post_init__(self) -> None:
        steps = ((self.stride_height, self.height), (self.stride_width, self.width))
        if any(not 0 < stride <= size for stride, size in steps):
            raise UsageError(f"window {self}: expected strides from 1 to the window's size")

    def __str__(self) -> str:
        sides = ((self.height, self.width), (self.stride_height, self.stride_width))
        return ":".join(str(h) if h == w else f"{h}x{w}" for h, w in sides)

    @classmethod
    def parse(cls, text: str) -> "Window | None":
        """The inverse of `str`; without strides these are two thirds of the window. `whole` is None."""
        if text == "whole":
            return None
        found = re.fullmatch(r"(\d+)(?:x(\d+))?(?::(\d+)(?:x(\d+))?)?", text)
        if found is None:
            raise UsageError(
                f"--window: expected whole, SIZE or SIZE:STRIDE such as 512x1024:256x512, got {text!r}"
            )
        height, width, down, right = found.groups()
        sides = int(height), int(width or height)
        strides = (int(down), int(right or down)) if down else tuple(max(1, 2 * side // 3) for side in sides)
        return cls(height=sides[0], width=sides[1], stride_height=strides[0], stride_width=strides[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
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
                raise UsageError(f"budget.{name}: expected at least {low}, got {getattr(self, name)}")
        if self.momentum >= 1:
            raise UsageError(f"budget.momentum: expected less than 1, got {self.momentum}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One thing to run. Its `id` is a hash of every field that is not at its default.

    `stretch` is by how much the budget's steps are multiplied, so that rules are compared at equal compute.
    `window` is the sliding window of inference, where there is one.
    """

    suite: str
    suite_version: int
    model: str
    method: str
    quant: str
    budget: str
    seed: int
    method_args: Args = ()
    method_version: int = 1
    budget_args: Args = ()
    parent: str | None = None
    weights: str | None = None
    limit: int | None = None
    amp: bool = False
    plugins: str | None = None
    preprocessing: str | None = None
    stretch: int = 1
    keep: str | None = None
    layer_bits: str | None = None
    window: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields that differ from their defaults, as plain JSON values."""
        values = ((f, getattr(self, f.name)) for f in fields(self))
        return {
            f.name: dict(value) if f.name.endswith("_args") else value
            for f, value in values
            if f.default is MISSING or value != f.default
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Cell":
        """The inverse of `to_dict`; raises TypeError or ValueError on data of another shape."""
        args = {
            name: tuple(sorted(dict(data.get(name, {})).items())) for name in ("method_args", "budget_args")
        }
        return cls(**{**data, **args})

    @property
    def id(self) -> str:
        """Twelve hex digits of the SHA-256 of the canonical JSON."""
        return _digest(self.to_dict())[:12]

    @property
    def training_id(self) -> str:
        """The id of the trained weights: how many images are scored, through which window, is left out."""
        return replace(self, limit=None, window=None).id

    @property
    def quant_spec(self) -> QuantSpec:
        """Bits, grid and layers, read from the cell's texts."""
        return QuantSpec.parse(self.quant, keep=self.keep, layer_bits=self.layer_bits)

    @property
    def bits(self) -> str:
        """For tables: `4`, or `4 (keep none; layer1.*=8)` where layers are not the defaults."""
        layers = [f"keep {self.keep}"] if self.keep else []
        layers += [self.layer_bits] if self.layer_bits else []
        return f"{self.quant} ({'; '.join(layers)})" if layers else self.quant

    @property
    def label(self) -> str:
        """A short name for people and file names: `cifar_resnet20-qat-4-s0-1a2b3c4d5e6f`."""
        quant = "" if self.quant == self.method else f"-{self.quant}"
        return re.sub(r"[^\w.@-]", "_", f"{self.model}-{self.method}{quant}-s{self.seed}-{self.id}")

    def derive_seed(self, purpose: str) -> int:
        """A seed that ignores the method and the bits, so that all methods see the same start and batches."""
        shared = {
            "suite": self.suite,
            "suite_version": self.suite_version,
            "model": self.model,
            "budget": self.budget,
            "seed": self.seed,
            "purpose": purpose,
        }
        return int(_digest(shared)[:15], 16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One measured number: its value, the number of images behind it, and its standard error if known."""

    value: float | None
    n: int
    stderr: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is kept of a cell: `scores[shift][metric]`, flatness, training, protocol and environment."""

    cell: Cell
    status: Status
    reason: str = ""
    scores: Mapping[str, Mapping[str, Score]] = field(default_factory=dict)
    flatness: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    protocol: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
