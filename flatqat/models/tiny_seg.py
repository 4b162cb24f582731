"""A small encoder-decoder of 80 thousand weights for street scenes: a minute on one CPU core.

The encoder reduces the resolution to 1/8, where dilated residual blocks and the mean over the image give each
pixel the whole scene. The decoder returns through the encoder's features at 1/4 and at 1/2, where pixels are
classified.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from flatqat.models.base import ModelSource, Normalized
from flatqat.models.segmentation import resized

WIDTHS = (16, 32, 40)  # at 1/2, 1/4 and 1/8
DILATIONS = (1, 2, 4)


class TinySeg(nn.Module):
    """Maps images (B, 3, H, W) of any size to logits (B, classes, H, W)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        half, quarter, eighth = WIDTHS
        self.stem = _conv(3, half, stride=2)
        self.down1 = _conv(half, quarter, stride=2)
        self.stage1 = _conv(quarter, quarter)
        self.down2 = _conv(quarter, eighth, stride=2)
        self.stage2 = nn.ModuleList(_conv(eighth, eighth, dilation=dilation) for dilation in DILATIONS)
        self.scene = nn.Linear(eighth, eighth)
        self.up2 = _conv(eighth, quarter, size=1)
        self.join2 = _conv(quarter, quarter)
        self.up1 = _conv(quarter, half, size=1)
        self.join1 = _conv(half, half)
        self.classify = nn.Conv2d(half, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits at the size of the images."""
        at_half = F.relu(self.stem(images))
        at_quarter = F.relu(self.down1(at_half))
        at_quarter = F.relu(at_quarter + self.stage1(at_quarter))
        x = F.relu(self.down2(at_quarter))
        for block in self.stage2:
            x = F.relu(x + block(x))
        x = F.relu(x + self.scene(x.mean((2, 3)))[:, :, None, None])
        x = F.relu(self.join2(at_quarter + resized(self.up2(x), at_quarter)))
        x = F.relu(self.join1(at_half + resized(self.up1(x), at_half)))
        return resized(self.classify(x), images)


def _conv(inputs: int, outputs: int, *, size: int = 3, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    padding = dilation * (size // 2)
    convolution = nn.Conv2d(inputs, outputs, size, stride, padding, dilation, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


def _build(_: str, classes: int) -> Normalized:
    net = TinySeg(classes)
    return Normalized(net, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), task="segmentation")


MODEL = ModelSource(names=lambda: [""], build=_build)
