"""A small residual network of 20 thousand weights for the embedded suites: seconds on one CPU core."""

from torch import Tensor, nn
from torch.nn import functional as F

from flatqat.models.base import ModelSource, Normalized


class Tiny(nn.Module):
    """Maps images (B, 3, H, W) to logits (B, classes). The stem and two stages halve the resolution."""

    def __init__(self, classes: int, width: int = 16) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.stage1 = _block(width, width, stride=1)
        self.stage2 = _block(width, 2 * width, stride=2)
        self.stage3 = _block(2 * width, 2 * width, stride=2)
        self.linear = nn.Linear(2 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        x = F.relu_(self.bn1(self.conv1(x)))
        x = F.relu_(x + self.stage1(x))
        x = F.relu_(self.stage2(x))
        x = F.relu_(x[:, :, ::2, ::2] + self.stage3(x))
        logits: Tensor = self.linear(x.mean((2, 3)))
        return logits


def _block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


def _build(_: str, classes: int) -> Normalized:
    return Normalized(Tiny(classes), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


MODEL = ModelSource(names=lambda: [""], build=_build)
