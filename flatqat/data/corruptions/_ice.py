"""Five procedural textures of ice, for `frost`.

They replace the photographs of `photographs` and have the colors, contrast, skewness and power spectrum of
three kinds of ice in them: crystals, a teal pane, and white needles.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from flatqat.data.corruptions._draw import Draw

_SIZE = 512
_DIRECTIONS = 8
# Frequencies, in cycles per pixel, at which `Ice.power` is given.
_FREQUENCIES = (0.007, 0.015, 0.03, 0.06, 0.11, 0.22, 0.4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ice:
    """The statistics of one kind of ice, in gray levels and pixels.

    `mean` and `std` are those of each channel, `power` the radial power at `_FREQUENCIES` in gray levels
    squared. `needle` is length and width of needles, and `patch` the size of patches with one direction of
    needles.
    """

    mean: tuple[int, int, int]
    std: tuple[int, int, int]
    skew: float
    power: tuple[int, ...]
    needle: tuple[float, float]
    patch: float


_CRYSTALS = (113_000, 21_000, 10_700, 5400, 2300, 900, 230)
_PANE = (300_000, 13_400, 3300, 900, 420, 220, 70)
_NEEDLES = (110_000, 22_000, 8800, 4000, 1060, 350, 80)
_KINDS = (
    Ice(mean=(148, 163, 176), std=(27, 27, 28), skew=-0.1, power=_CRYSTALS, needle=(6, 0.7), patch=6),
    Ice(mean=(105, 163, 175), std=(27, 16, 14), skew=0.1, power=_PANE, needle=(8, 2), patch=8),
    Ice(mean=(195, 199, 208), std=(20, 21, 22), skew=-1.0, power=_NEEDLES, needle=(20, 1), patch=12),
    Ice(mean=(140, 154, 166), std=(25, 25, 27), skew=-0.1, power=_CRYSTALS, needle=(6, 0.7), patch=6),
    Ice(mean=(208, 214, 223), std=(16, 16, 16), skew=-1.0, power=_NEEDLES, needle=(20, 1), patch=12),
)


def textures() -> list[Tensor]:
    """Return five textures, uint8 (_SIZE, _SIZE, 3), periodic and the same in every run."""
    return [_texture(i, ice) for i, ice in enumerate(_KINDS)]


def _texture(which: int, ice: Ice) -> Tensor:
    draw = Draw.of(torch.tensor([which]), "ice", 0)
    field = _with_power(_needles(draw, ice), ice.power)
    # A square bends the distribution: for z normal, the skewness of z + s z^2 / 6 is near s.
    field = field + ice.skew / 6 * field**2
    field = (field - field.mean()) / field.std()
    return (torch.tensor(ice.mean) + field[..., None] * torch.tensor(ice.std)).clamp_(0, 255).byte()


def _needles(draw: Draw, ice: Ice) -> Tensor:
    """Return noise smeared along directions that a second, coarse noise selects."""
    fy, fx = torch.fft.fftfreq(_SIZE)[:, None], torch.fft.rfftfreq(_SIZE)
    noise = torch.fft.rfft2(draw.normal("needles", _SIZE, _SIZE)[0])
    coarse = torch.fft.rfft2(draw.normal("patches", _DIRECTIONS, _SIZE, _SIZE)[0])
    direction = _real(coarse * _smear(fy, fx, ice.patch, ice.patch)).argmax(0)
    field = torch.zeros(_SIZE, _SIZE)
    for i in range(_DIRECTIONS):
        angle = torch.tensor(torch.pi * i / _DIRECTIONS)
        along, across = fx * angle.cos() + fy * angle.sin(), fy * angle.cos() - fx * angle.sin()
        field = torch.where(direction == i, _real(noise * _smear(along, across, *ice.needle)), field)
    return field


def _with_power(field: Tensor, power: tuple[int, ...]) -> Tensor:
    """Return a standardized field with the same phases and another radial power.

    The power is given at `_FREQUENCIES` and interpolated on logarithms between them.
    """
    spectrum = torch.fft.rfft2(field)
    radius = torch.hypot(torch.fft.fftfreq(_SIZE)[:, None], torch.fft.rfftfreq(_SIZE)).flatten()
    ring = (radius * _SIZE).round().long()
    total = torch.zeros(int(ring.max()) + 1).index_add_(0, ring, spectrum.abs().flatten() ** 2)
    present = (total / ring.bincount())[ring]
    knots, levels = torch.tensor(_FREQUENCIES).log(), torch.tensor(power).float().log()
    position = radius.clamp(_FREQUENCIES[0], _FREQUENCIES[-1]).log()
    low = (torch.bucketize(position, knots) - 1).clamp_(0, len(knots) - 2)
    share = (position - knots[low]) / (knots[low + 1] - knots[low])
    target = (levels[low] + share * (levels[low + 1] - levels[low])).exp()
    gain = (target / present).sqrt() * (radius > 0)
    shaped = _real(spectrum * gain.view(spectrum.shape))
    return shaped / shaped.std()


def _smear(along: Tensor, across: Tensor, length: float, width: float) -> Tensor:
    return (-2 * torch.pi**2 * ((along * length) ** 2 + (across * width) ** 2)).exp()


def _real(spectrum: Tensor) -> Tensor:
    field: Tensor = torch.fft.irfft2(spectrum, s=(_SIZE, _SIZE))
    return field
