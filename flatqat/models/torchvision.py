"""Every classification network of torchvision, untrained: `torchvision:mobilenet_v3_small`."""

from flatqat.models._base import IMAGENET_MEAN, IMAGENET_STD, Normalized, Source
from flatqat.models._optional import require


def _names() -> list[str]:
    models = require("torchvision.models", extra="zoo")
    return list(models.list_models(module=models))


def _build(name: str, classes: int) -> Normalized:
    options = {"num_classes": classes}
    if name in ("googlenet", "inception_v3"):  # their default returns tuples in training
        options |= {"aux_logits": False, "init_weights": True}
    net = require("torchvision.models", extra="zoo").get_model(name, weights=None, **options)
    return Normalized(net, IMAGENET_MEAN, IMAGENET_STD)


MODEL = Source(names=_names, build=_build)
