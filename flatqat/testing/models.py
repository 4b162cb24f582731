"""What every model source has to keep."""

from flatqat.models._base import Source
from flatqat.testing._toys import CLASSES, toy_images


def model_builds_classifiers(source: Source) -> None:
    """The first name builds a network that gives finite logits, and gradients to every weight."""
    model = source.build(source.names()[0], CLASSES)
    logits = model(toy_images(2, size=64))
    assert logits.shape == (2, CLASSES), f"expected logits (2, {CLASSES}), got {tuple(logits.shape)}"
    logits.sum().backward()
    bare = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not bare, f"expected gradients everywhere, got none for {bare[:3]}"


CHECKS = [model_builds_classifiers]
