"""Small networks for 16x16 images with layers of every kind that is quantized."""

import torch
from torch import nn
from torch.nn import functional as F

from flatqat.models.attention import split_attention_


class Layers(nn.Module):
    """Grouped, depthwise and transposed convolutions, one in one dimension, and linear layers on tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.grouped = nn.Conv2d(8, 8, 1, groups=2)
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.tokens = nn.Linear(256, 12)
        self.line = nn.Conv1d(4, 4, 3)
        self.attention = nn.MultiheadAttention(10, 2, batch_first=True)
        self.head = nn.Linear(40, 5)

    def forward(self, x):
        x = F.relu(self.stem(x))
        x = F.relu(self.norm(self.depthwise(x)))
        x = self.up(F.relu(self.grouped(x)))
        x = self.line(self.tokens(x.flatten(2)))
        x = x + self.attention(x, x, x, need_weights=False)[0]
        return self.head(x.flatten(1))


class Tied(nn.Module):
    """Two layers with one weight, once as it is and once in both."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(12, 12), nn.Linear(12, 12)
        self.second.weight = self.first.weight

    def forward(self, x):
        x = x.mean(3).flatten(1)[:, :12]
        return self.second(F.relu(self.first(x)))


class Twice(nn.Module):
    """A layer that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(12, 12)

    def forward(self, x):
        x = x.mean(3).flatten(1)[:, :12]
        return self.layer(F.relu(self.layer(x)))


def seeded(kind) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        net = kind()
    split_attention_(net)
    return net
