"""Five procedural textures of ice, for `frost`."""

from functools import lru_cache

import torch
from torch import Tensor

from flatqat.data.corruptions._draw import Draw

SIZE = 512

# Mean colour, standard deviation (grey levels), needle length and width (pixels) of each texture.
_KINDS = (
    ((146, 162, 175), (28, 28, 29), 12, 1.0),
    ((103, 162, 174), (27, 16, 14), 14, 2.0),
    ((196, 200, 209), (20, 21, 22), 20, 1.2),
    ((140, 154, 167), (26, 26, 27), 12, 1.0),
    ((200, 205, 214), (18, 18, 19), 20, 1.2),
)
_DIRECTIONS = 8


@lru_cache(maxsize=1)
def textures() -> Tensor:
    """uint8 (5, SIZE, SIZE, 3), periodic, the same in every run."""
    return torch.stack([_texture(i) for i in range(len(_KINDS))])


def _texture(which: int) -> Tensor:
    """Patches of needles: noise smeared along directions that a second, coarse noise picks."""
    mean, std, length, width = _KINDS[which]
    draw = Draw.of(torch.tensor([which]), "ice", 0)
    fy, fx = torch.fft.fftfreq(SIZE)[:, None], torch.fft.rfftfreq(SIZE)
    noise = torch.fft.rfft2(draw.normal("needles", SIZE, SIZE)[0])
    coarse = torch.fft.rfft2(draw.normal("patches", _DIRECTIONS, SIZE, SIZE)[0])
    coarse = torch.fft.irfft2(coarse * _band(fy, fx, 16, 16), s=(SIZE, SIZE))
    direction = coarse.argmax(0)
    ice = torch.zeros(SIZE, SIZE)
    for i in range(_DIRECTIONS):
        angle = torch.tensor(torch.pi * i / _DIRECTIONS)
        along, across = fx * angle.cos() + fy * angle.sin(), fy * angle.cos() - fx * angle.sin()
        smeared = torch.fft.irfft2(noise * _band(along, across, length, width), s=(SIZE, SIZE))
        ice = torch.where(direction == i, smeared, ice)
    ice = (ice - ice.mean()) / ice.std()
    return (torch.tensor(mean) + ice[..., None] * torch.tensor(std)).clamp_(0, 255).byte()


def _band(along: Tensor, across: Tensor, length: float, width: float) -> Tensor:
    return (-2 * torch.pi**2 * ((along * length) ** 2 + (across * width) ** 2)).exp()
