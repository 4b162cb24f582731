"""torchvision's networks for classification and segmentation: `torchvision:resnet50`.

A name may have the tag of weights, `resnet50.IMAGENET1K_V2`; without one, the first weights that torchvision
lists are used, mostly IMAGENET1K_V1. Mean, standard deviation, resize, crop and interpolation are those of
the weights; networks for segmentation see images at their own size. The network starts untrained
nevertheless, unless `--pretrained` or `--weights FILE` provides weights.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from flatqat.models import torchvision_seg as segmentation
from flatqat.models.base import ModelSource, Normalized
from flatqat.models.download import cached
from flatqat.models.optional import require
from flatqat.spec import EvalTransform

WITH_HEADS = ("googlenet", "inception_v3")  # with auxiliary heads and their own normalization
HEADS = re.compile(r"(aux1|aux2|AuxLogits)\.")
RENAMED = (  # some of torchvision's files are older than its names
    (re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\."), r"\1\2."),
    (re.compile(r"\.mlp\.linear_1\."), ".mlp.0."),
    (re.compile(r"\.mlp\.linear_2\."), ".mlp.3."),
)


def _names() -> list[str]:
    models = require("torchvision.models", extra="zoo")
    names = [*models.list_models(module=models), *segmentation.names()]
    return [full for name in names for full in (name, *(f"{name}.{tag}" for tag in _weights(name)))]


def _build(full: str, classes: int) -> Normalized:
    name = full.partition(".")[0]
    preset = _chosen(full).transforms()
    if name in segmentation.names():
        return segmentation.build(name, classes, preset)
    eval_transform = EvalTransform(
        resize=preset.resize_size[0], crop=preset.crop_size[0], interpolation=preset.interpolation.value
    )
    options: dict[str, Any] = {"num_classes": classes}
    if name in WITH_HEADS:  # without heads, with which they return tuples in training
        options |= {"aux_logits": False, "init_weights": True, "transform_input": True}
    elif name.startswith("vit_"):
        options["image_size"] = eval_transform.crop
    net = require("torchvision.models", extra="zoo").get_model(name, weights=None, **options)
    return Normalized(net, preset.mean, preset.std, eval_transform)


def _pretrained(full: str) -> Path:
    return cached(_chosen(full).url)


def _adapt(net: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename tensors of old files, and drop the auxiliary heads, which inference never runs."""
    if type(net).__name__ in ("GoogLeNet", "Inception3"):
        state = {name: tensor for name, tensor in state.items() if not HEADS.match(name)}
    return {_renamed(name): tensor for name, tensor in state.items()}


def _renamed(name: str) -> str:
    for old, new in RENAMED:
        name = old.sub(new, name)
    return name


def _weights(name: str) -> dict[str, Any]:
    """Return the weights of a network by tag, without those that classify nothing."""
    listed = require("torchvision.models", extra="zoo").get_model_weights(name)
    return {weights.name: weights for weights in listed if weights.meta["categories"]}


def _chosen(full: str) -> Any:
    name, _, tag = full.partition(".")
    weights = _weights(name)
    return weights[tag or next(iter(weights))]


MODEL = ModelSource(names=_names, build=_build, pretrained=_pretrained, adapt=_adapt)
