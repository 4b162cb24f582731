"""A network of your own, from a Python file: `file:nets.py:make` calls `make(classes)`.

The function returns a `Normalized`, or an nn.Module. The latter is normalized with ImageNet's mean and
standard deviation, unless it has attributes `mean` and `std` (three numbers each), and its images are cropped
by its attribute `eval_transform`, if it has one. The file's content is part of a result's identity.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from flatqat import registry
from flatqat.errors import PluginError, UsageError, found
from flatqat.models.base import IMAGENET_MEAN, IMAGENET_STD, ModelSource, Normalized
from flatqat.spec import EvalTransform


def factory_of(name: str) -> Callable[[int], Any]:
    """Return the function that `PATH.py:FUNCTION` names; the file runs.

    Raises UsageError if there is no such file, PluginError if it fails or has no such function.
    """
    path, factory = _split(name)
    make = getattr(registry.import_file(path.resolve()), factory, None)
    if not callable(make):
        raise PluginError(f"{path}: expected it to define a function {factory}(classes), got none")
    function: Callable[[int], Any] = make
    return function


def _build(name: str, classes: int) -> Normalized:
    make = factory_of(name)
    path, factory = _split(name)
    try:
        net = make(classes)
    except (Exception, SystemExit) as error:
        cause = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        where = registry.place(error, path)
        raise PluginError(f"{path}: {factory}({classes}) failed: {cause}{where and f' ({where})'}") from error
    if isinstance(net, Normalized):
        return net
    if not isinstance(net, nn.Module):
        expected, got = f"{factory}({classes}) to return an nn.Module or a Normalized", type(net).__name__
        raise PluginError(f"{path}: expected {expected}, got {got}")
    return _normalized(net, f"{path}: the network of {factory}({classes})")


def _normalized(net: nn.Module, who: str) -> Normalized:
    mean, std = getattr(net, "mean", IMAGENET_MEAN), getattr(net, "std", IMAGENET_STD)
    eval_transform = getattr(net, "eval_transform", None)
    if hasattr(net, "mean") != hasattr(net, "std") or not (_three_numbers(mean) and _three_numbers(std)):
        raise PluginError(
            f"{who}: expected attributes mean and std of three numbers each, or neither, "
            "got something else; a network that normalizes its images itself is returned as "
            "Normalized(net, mean=(0, 0, 0), std=(1, 1, 1))"
        )
    if not isinstance(eval_transform, EvalTransform | None):
        got = type(eval_transform).__name__
        raise PluginError(f"{who}: expected eval_transform to be a flatqat.EvalTransform, got {got}")
    return Normalized(net, mean, std, eval_transform)


def _three_numbers(value: Any) -> bool:
    return isinstance(value, Sequence) and len(value) == 3 and all(isinstance(v, int | float) for v in value)


def _split(name: str) -> tuple[Path, str]:
    path, _, factory = name.rpartition(":")
    if not path.endswith(".py") or not factory.isidentifier():
        raise UsageError(f"model 'file:{name}': expected 'file:PATH.py:FUNCTION', such as file:nets.py:make")
    if not os.path.isfile(path):
        raise UsageError(f"model 'file:{name}': expected a file {path}, got {found(Path(path))}")
    return Path(path), factory


MODEL = ModelSource(names=list, build=_build, files=lambda name: [_split(name)[0]])
