"""Read a config of MMSegmentation: what to build, which images it expects, and how its heads are weighted."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flatqat.errors import UsageError
from flatqat.models.optional import require
from flatqat.spec import Window

CROSS_ENTROPY = ("CrossEntropyLoss", "OhemCrossEntropy")
NO_CLASS_MAP = ("STDCHead",)  # an edge map
COMPILED = "{} of mmcv.ops, which onedl-mmcv does not have compiled"
NEEDS = {  # by the beginning of types in the config
    "CCHead": COMPILED.format("CrissCrossAttention"),
    "PSAHead": COMPILED.format("PSAMask"),
    "PointHead": COMPILED.format("point_sample"),
    "SideAdapterCLIPHead": COMPILED.format("point_sample"),
    "MaskFormerHead": "the package mmdet, and a loss over masks in place of pixels",
    "Mask2FormerHead": "the package mmdet, and a loss over masks in place of pixels",
    "mmpretrain.": "the package mmpretrain",
    "DepthEstimator": "a suite of depth: it classifies no pixels",
    "BEiT": "crops of one size alone, for its positions are not resized",
    "MAE": "crops of one size alone, for its positions are not resized",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentorConfig:
    """What a config says about its network.

    Attributes:
        model: What MMSegmentation's registry builds, without any file of weights.
        mean: The mean of RGB images in [0, 1].
        std: The standard deviation of RGB images in [0, 1].
        window: The sliding window of evaluation, if there is one.
        decode: The weights of the cross-entropies of each head.
        auxiliary: The same for auxiliary heads; None for a head without a class map.
    """

    model: dict[str, Any]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    window: Window | None
    decode: tuple[tuple[float, ...], ...]
    auxiliary: tuple[tuple[float, ...] | None, ...]


def read_config(path: Path, classes: int) -> SegmentorConfig:
    """Read a config for a number of classes. Raises UsageError if its network cannot be built here."""
    model = _read(path)
    _check(path.stem, model)
    sees = model.pop("data_preprocessor")
    model = _without_weights(model)
    decode, auxiliary = _listed(model["decode_head"]), _listed(model.get("auxiliary_head"))
    weights = tuple(_weights(head) for head in decode)
    auxiliary_weights = tuple(None if head["type"] in NO_CLASS_MAP else _weights(head) for head in auxiliary)
    for part in _dicts([decode, auxiliary]):
        _for_classes_(part, classes)
    return SegmentorConfig(
        model=model,
        mean=tuple(value / 255 for value in sees["mean"]),
        std=tuple(value / 255 for value in sees["std"]),
        window=_window(model.get("test_cfg") or {}),
        decode=weights,
        auxiliary=auxiliary_weights,
    )


def _read(path: Path) -> dict[str, Any]:
    config = require("mmengine.config", extra="seg").Config
    with redirect_stdout(sys.stderr):
        model: dict[str, Any] = config.fromfile(path, import_custom_modules=False).to_dict()["model"]
    return model


def _check(name: str, model: Mapping[str, Any]) -> None:
    types = [part["type"] for part in _dicts(model) if isinstance(part.get("type"), str)]
    for start, needed in NEEDS.items():
        if any(kind.startswith(start) for kind in types):
            fix = "choose another: flatqat models list 'mmseg:*'"
            raise UsageError(f"model mmseg:{name}: it needs {needed}; {fix}")
    channels = len(model["data_preprocessor"].get("mean") or ())
    if channels != 3:
        got = f"one whose mean has {channels} channels"
        raise UsageError(f"model mmseg:{name}: expected one of RGB images, got {got}")


def _weights(head: Mapping[str, Any]) -> tuple[float, ...]:
    """Return the weights of a head's cross-entropies; those of K-Net are in the head that makes kernels."""
    losses = _listed(head.get("kernel_generate_head", head).get("loss_decode"))
    weights = [float(loss.get("loss_weight", 1)) for loss in losses if loss["type"] in CROSS_ENTROPY]
    return tuple(weights) if losses else (1.0,)


def _for_classes_(part: dict[str, Any], classes: int) -> None:
    """Set the number of classes, a plain cross-entropy and no sampler of pixels."""
    part.pop("sampler", None)
    if "loss_decode" in part:
        part["loss_decode"] = {"type": "CrossEntropyLoss", "avg_non_ignore": True}
    if "num_classes" in part:
        part["num_classes"] = classes


def _without_weights(value: Any) -> Any:
    """Return the config without files of weights, and with BatchNorm for a single process."""
    if isinstance(value, list | tuple):
        return type(value)(_without_weights(part) for part in value)
    if not isinstance(value, dict):
        return value
    if value.get("type") == "SyncBN":
        value = value | {"type": "BN"}
    return {key: _without_weights(part) for key, part in value.items() if not _names_weights(key, part)}


def _names_weights(key: str, part: Any) -> bool:
    parts = _listed(part) if key == "init_cfg" else []
    return key == "pretrained" or any(init.get("type") == "Pretrained" for init in parts)


def _window(test: Mapping[str, Any]) -> Window | None:
    if test.get("mode") != "slide":
        return None
    (height, width), (stride_height, stride_width) = test["crop_size"], test["stride"]
    return Window(height=height, width=width, stride_height=stride_height, stride_width=stride_width)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every dict in a config, itself included."""
    if isinstance(value, dict):
        yield value
    if isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _dicts(part)
