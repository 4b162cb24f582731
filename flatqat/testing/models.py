"""Checks that every model source has to pass."""

from typing import Any

import torch

from flatqat.models.base import ModelSource, Normalized
from flatqat.quant.apply import quantizable
from flatqat.testing._toys import CLASSES, toy_images
from flatqat.testing.pretended import pretended_device

SIZES = {"classification": ((64, 64), (32, 32), (224, 224), (28, 28)), "segmentation": ((64, 81),)}


def model_gives_logits(source: ModelSource) -> None:
    """The first model returns finite logits of the expected shape, with gradients for every weight."""
    model = source.build(source.names()[0], CLASSES)
    images, output = _run(model)
    expected = (2, CLASSES, *images.shape[2:]) if model.task == "segmentation" else (2, CLASSES)
    heads = ((1.0, output),) if isinstance(output, torch.Tensor) else output
    for _, logits in heads:
        _check_logits(logits, expected)
    sum((weight * logits.sum() for weight, logits in heads), torch.zeros(())).backward()
    without = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not without, f"expected gradients everywhere, got none for {without[:3]}"
    with torch.no_grad():
        _check_logits(model.eval()(images), expected)


def last_layer_classifies_pixels(source: ModelSource) -> None:
    """For per-pixel models, the layer registered last is the last one that runs in inference."""
    model = source.build(source.names()[0], CLASSES).eval()
    if model.task != "segmentation":
        return
    executed: list[str] = []
    for name, layer in quantizable(model.net).items():
        layer.register_forward_pre_hook(lambda *_, name=name: executed.append(name))
    with torch.no_grad():
        model(toy_images(1, size=64))
    *_, last = quantizable(model.net)
    got = f"got {executed[-1]} after {last}"
    assert executed[-1] == last, f"expected the layer registered last to run last, {got}"


def model_works_on_another_device(source: ModelSource) -> None:
    """The first model trains and predicts on a device that is not the CPU."""
    name = source.names()[0]
    images, _ = _run(source.build(name, CLASSES))
    with pretended_device() as there:
        model, x = source.build(name, CLASSES).to(there.device), images.to(there.device)
        output = model(x)
        for logits in (output,) if isinstance(output, torch.Tensor) else (head for _, head in output):
            assert there.there(logits), "expected logits on the device of the images, got some on the CPU"
            logits.sum().backward(retain_graph=True)
        with torch.no_grad():
            model.eval()(x)


def _run(model: Normalized) -> tuple[torch.Tensor, Any]:
    """Return images of the first size that the network accepts, and its output in training."""
    first: Exception | None = None
    for height, width in SIZES[model.task]:
        images = toy_images(2, size=max(height, width))[:, :, :height, :width]
        try:
            return images, model(images)
        except (RuntimeError, AssertionError, ValueError) as error:  # of layers made for another size
            first = first or error
    assert first is not None
    raise first


def _check_logits(logits: torch.Tensor, expected: tuple[int, ...]) -> None:
    assert logits.shape == expected, f"expected logits {expected}, got {tuple(logits.shape)}"
    assert logits.isfinite().all(), "expected finite logits, got NaN or infinity"


CHECKS = [model_gives_logits, model_works_on_another_device, last_layer_classifies_pixels]
