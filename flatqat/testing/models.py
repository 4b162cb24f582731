"""Checks that every model source has to pass."""

from typing import Any

import torch

from flatqat.models.base import ModelSource, Normalized
from flatqat.quant.apply import quantizable
from flatqat.testing._toys import CLASSES, toy_images

SIZES = {"classification": (64, 64), "segmentation": (64, 81)}


def model_gives_logits(source: ModelSource) -> None:
    """The first model returns finite logits of the expected shape, with gradients for every weight."""
    model = source.build(source.names()[0], CLASSES)
    images = toy_images(2, size=96)[:, :, : SIZES[model.task][0], : SIZES[model.task][1]]
    heads = _heads(model, images)
    for _, logits in heads:
        _check_logits(logits, _expected(model, images))
    sum((weight * logits.sum() for weight, logits in heads), torch.zeros(())).backward()
    without = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not without, f"expected gradients everywhere, got none for {without[:3]}"
    with torch.no_grad():
        _check_logits(model.eval()(images), _expected(model, images))


def last_layer_classifies_pixels(source: ModelSource) -> None:
    """For per-pixel models, the layer registered last is the last one that runs in inference."""
    model = source.build(source.names()[0], CLASSES).eval()
    if model.task != "segmentation":
        return
    executed: list[str] = []
    layers = quantizable(model.net)
    for name, layer in layers.items():
        layer.register_forward_pre_hook(lambda *_, name=name: executed.append(name))
    with torch.no_grad():
        model(toy_images(1, size=64))
    last = list(layers)[-1]
    assert executed[-1] == last, (
        f"expected the layer registered last to run last, got {executed[-1]} after {last}"
    )


def _heads(model: Normalized, images: torch.Tensor) -> Any:
    output = model(images)
    return ((1.0, output),) if isinstance(output, torch.Tensor) else output


def _expected(model: Normalized, images: torch.Tensor) -> tuple[int, ...]:
    pixels = images.shape[2:] if model.task == "segmentation" else ()
    return (len(images), CLASSES, *pixels)


def _check_logits(logits: torch.Tensor, expected: tuple[int, ...]) -> None:
    assert logits.shape == expected, f"expected logits {expected}, got {tuple(logits.shape)}"
    assert logits.isfinite().all(), "expected finite logits, got NaN or infinity"


CHECKS = [model_gives_logits, last_layer_classifies_pixels]
