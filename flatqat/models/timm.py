"""Every network of timm, untrained, behind its own mean and std: `timm:convnext_tiny`."""

from flatqat.models._base import Normalized, Source
from flatqat.models._optional import require


def _names() -> list[str]:
    return list(require("timm", extra="zoo").list_models())


def _build(name: str, classes: int) -> Normalized:
    net = require("timm", extra="zoo").create_model(name, pretrained=False, num_classes=classes)
    return Normalized(net, net.default_cfg["mean"], net.default_cfg["std"])


MODEL = Source(names=_names, build=_build)
