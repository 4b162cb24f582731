"""ResNets for 32×32 images, with parameter-free shortcuts.

They have a 3×3 convolution, three stages of n blocks with 16, 32 and 64 channels, global average pooling and
a linear layer: 6n + 2 layers. Shortcuts between stages take every second pixel and pad channels with zeros
(option A). Inputs are normalized as for ImageNet. Source: He et al. 2016, section 4.2.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from flatqat.models.base import IMAGENET_MEAN, IMAGENET_STD, ModelSource, Normalized

BLOCKS = {"resnet20": 3, "resnet32": 5, "resnet44": 7, "resnet56": 9}


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with BatchNorm, and a shortcut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.stride, self.new_channels = outputs // inputs, outputs - inputs
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=self.stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map features to features."""
        shortcut = x
        if self.new_channels:
            half = self.new_channels // 2
            shortcut = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, half, half))
        out = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(out)) + shortcut)


class CifarResNet(nn.Module):
    """Maps normalized images (B, 3, 32, 32) to logits (B, classes)."""

    def __init__(self, blocks: int, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, blocks)
        self.layer2 = _stage(16, 32, blocks)
        self.layer3 = _stage(32, 64, blocks)
        self.linear = nn.Linear(64, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.linear(x.mean((2, 3)))
        return logits


def _stage(inputs: int, outputs: int, blocks: int) -> nn.Sequential:
    others = (BasicBlock(outputs, outputs) for _ in range(blocks - 1))
    return nn.Sequential(BasicBlock(inputs, outputs), *others)


def _build(name: str, classes: int) -> Normalized:
    return Normalized(CifarResNet(BLOCKS[name], classes), IMAGENET_MEAN, IMAGENET_STD)


MODEL = ModelSource(names=lambda: list(BLOCKS), build=_build)
