"""An encoder-decoder of MMSegmentation as one module, with the names of its checkpoints."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from flatqat.models.mmseg_config import SegmentorConfig
from flatqat.models.segmentation import Heads, registered_last_, resized, training_only

NO_CLASS_MAP = {"PIDHead": ("d_head", "d_cls_seg"), "EncHead": ("se_layer",)}  # edges; classes in the image
IN_TRAINING = {
    "PIDHead": ("p_head", "p_cls_seg"),
    "DDRHead": ("aux_head", "aux_cls_seg"),
    "DAHead": ("pam_conv_seg", "cam_conv_seg"),
}
DIVISORS = {"PIDNet": 8, "DDRNet": 8, "UNet": 16}


class EncoderDecoder(nn.Module):
    """Maps normalized images (B, 3, H, W) to logits (B, classes, H, W), in training of all heads.

    Logits are resized as the config of their head says, by its `align_corners`. Images whose sides the
    backbone cannot divide are padded with zeros, and the logits cropped. `left_out` are the prefixes of names
    in checkpoints that this network does not use.
    """

    def __init__(self, segmentor: Any, config: SegmentorConfig) -> None:
        super().__init__()
        self.divisor = DIVISORS.get(type(segmentor.backbone).__name__, 1)
        self.left_out = ["data_preprocessor."]
        self.backbone = segmentor.backbone
        self.neck = segmentor.neck if segmentor.with_neck else None
        if segmentor.with_auxiliary_head:
            self.auxiliary_head = training_only(self._with_class_maps(segmentor.auxiliary_head, config))
        self.decode_head = segmentor.decode_head  # registered last, as the last layer is the classifier
        self.decode_weights = config.decode
        self.auxiliary_weights = [weights for weights in config.auxiliary if weights is not None]
        for name, head in self.named_modules():
            self._trim_(name, head)

    def forward(self, images: Tensor) -> Tensor | Heads:
        """Return logits; in training with several heads, pairs of a weight and logits."""
        height, width = images.shape[2:]
        images = F.pad(images, (0, -width % self.divisor, 0, -height % self.divisor))
        features = self.backbone(images)
        if self.neck is not None:
            features = self.neck(features)
        outputs: list[tuple[float, Tensor, bool]] = []
        before: tuple[Tensor, ...] = ()
        for head, weights in zip(_each(self.decode_head), self.decode_weights, strict=True):
            maps = _maps(head, features, before)
            outputs = [*_weighted(head, weights, maps), *outputs]
            before = maps[:1]
        if self.training and self.auxiliary_weights:
            for head, weights in zip(_each(self.auxiliary_head), self.auxiliary_weights, strict=True):
                outputs += _weighted(head, weights, _maps(head, features, ()))
        heads = tuple(
            (weight, resized(logits, images, align_corners=corners)[:, :, :height, :width])
            for weight, logits, corners in (outputs if self.training else outputs[:1])
        )
        return heads if len(heads) > 1 else heads[0][1]

    def _with_class_maps(self, heads: nn.Module, config: SegmentorConfig) -> nn.Module:
        """Drop the heads of a list that have no class map; the others keep their numbers."""
        if not isinstance(heads, nn.ModuleList):
            return heads
        with_map = {}
        for number, (head, weights) in enumerate(zip(heads, config.auxiliary, strict=True)):
            if weights is None:
                self.left_out.append(f"auxiliary_head.{number}.")
            else:
                with_map[str(number)] = head
        return nn.ModuleDict(with_map)

    def _trim_(self, name: str, head: Any) -> None:
        """Remove what gives no class map, mark what only training runs, and register the classifier last."""
        kind = type(head).__name__
        for part in NO_CLASS_MAP.get(kind, ()):
            if hasattr(head, part):
                delattr(head, part)
                self.left_out.append(f"{name}.{part}.")
        if kind == "EncHead":
            head.use_se_loss = False
        for part in IN_TRAINING.get(kind, ()):
            training_only(getattr(head, part))
        if hasattr(head, "conv_seg"):
            registered_last_(head, "conv_seg")


def _each(heads: nn.Module) -> list[Any]:
    if isinstance(heads, nn.ModuleDict):
        return list(heads.values())
    return list(heads) if isinstance(heads, nn.ModuleList) else [heads]


def _maps(head: Any, features: Any, before: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return class maps at the head's own size, that of inference first; `before` is the previous head's."""
    kind = type(head).__name__
    if kind == "PIDHead" and head.training:  # its own forward would run the edges too
        spatial, integral, _ = features
        return head.i_head(integral, head.cls_seg), head.p_head(spatial, head.p_cls_seg)
    maps = head(features, *before)
    if isinstance(maps, Tensor):
        return (maps,)
    return tuple(reversed(maps)) if kind == "IterativeDecodeHead" else tuple(maps)


def _weighted(
    head: Any, weights: tuple[float, ...], maps: tuple[Tensor, ...]
) -> list[tuple[float, Tensor, bool]]:
    """Return each map with the weight of its loss and how it is resized."""
    kind = type(head).__name__
    if kind == "PIDHead":  # its config lists the spatial branch first
        weights = (weights[1], weights[0])
    elif kind != "DDRHead":  # one loss for all maps
        weights = weights[:1] * len(maps)
    return [(weight, logits, head.align_corners) for weight, logits in zip(weights, maps, strict=False)]
