"""torchvision's segmentation networks, with their auxiliary head in training.

The head's loss has the weight 0.4, as in PSPNet (Zhao et al. 2017, section 3.3) and most later work.
"""

from typing import Any

from torch import Tensor, nn

from flatqat.models.base import Normalized
from flatqat.models.optional import require
from flatqat.models.segmentation import Heads, resized, training_only

AUXILIARY_WEIGHT = 0.4


class Segmentation(nn.Module):
    """Maps normalized images (B, 3, H, W) to logits (B, classes, H, W), in training of both heads.

    It takes a network of torchvision apart and keeps its names. LRASPP has no second head.
    """

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.backbone = net.backbone
        self.two_headed = getattr(net, "aux_classifier", None) is not None
        if self.two_headed:
            self.aux_classifier = training_only(net.aux_classifier)
        self.classifier = net.classifier  # registered last, as the last layer is the classifier

    def forward(self, images: Tensor) -> Tensor | Heads:
        """Return logits; in training with two heads, pairs of a weight and logits."""
        features = self.backbone(images)
        logits = resized(self.classifier(features.get("out", features)), images)
        if not (self.training and self.two_headed):
            return logits
        return (1.0, logits), (AUXILIARY_WEIGHT, resized(self.aux_classifier(features["aux"]), images))


def names() -> list[str]:
    """List the networks as torchvision does, without tags of weights."""
    models = require("torchvision.models", extra="zoo")
    return list(models.list_models(module=models.segmentation))


def build(name: str, classes: int, preset: Any) -> Normalized:
    """Build an untrained network whose images are normalized by the preset of its weights."""
    heads = {} if name.startswith("lraspp") else {"aux_loss": True}
    net = require("torchvision.models", extra="zoo").get_model(
        name, weights=None, weights_backbone=None, num_classes=classes, **heads
    )
    return Normalized(Segmentation(net), preset.mean, preset.std, task="segmentation")
