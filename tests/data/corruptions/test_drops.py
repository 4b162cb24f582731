"""The rims of drops against plain forms: floating point, and one direction of moves at a time."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from flatqat.data.corruptions import _drops

TAN_22, FAR = 0.4142135623730950488, 20.0
SIZES = ((3, 3), (5, 60), (32, 32), (41, 67))


def drops(height: int, width: int, seed: int) -> Tensor:
    """Whole levels of smooth drops, of noise and of plateaus, float32 (3, 1, height, width)."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(3, 1, height // 6 + 2, width // 6 + 2, generator=generator) * 600 - 300
    level = F.interpolate(coarse, size=(height, width), mode="bicubic").clamp_(0, 255)
    level[1] = torch.rand(1, height, width, generator=generator) * 255
    level[2] = (level[2] / 64).floor_() * 64
    return level.floor_()


def plain_edges(level: Tensor) -> Tensor:
    p = F.pad(level, (1, 1, 1, 1), mode="replicate")
    rows = p[..., :-2, :] + 2 * p[..., 1:-1, :] + p[..., 2:, :]
    columns = p[..., :, :-2] + 2 * p[..., :, 1:-1] + p[..., :, 2:]
    gx, gy = rows[..., 2:] - rows[..., :-2], columns[..., 2:, :] - columns[..., :-2, :]
    strength = gx.abs() + gy.abs()
    q = F.pad(strength, (1, 1, 1, 1))

    def at(dy: int, dx: int) -> Tensor:
        return q[..., 1 + dy : q.shape[-2] - 1 + dy, 1 + dx : q.shape[-1] - 1 + dx]

    flat, steep = gy.abs() < gx.abs() * TAN_22, gy.abs() > gx.abs() * (TAN_22 + 2)
    rising, slanted = (gx < 0) ^ (gy < 0), ~(flat | steep)
    peak = flat & (strength > at(0, -1)) & (strength >= at(0, 1))
    peak |= steep & (strength > at(-1, 0)) & (strength >= at(1, 0))
    peak |= slanted & rising & (strength > at(-1, 1)) & (strength > at(1, -1))
    peak |= slanted & ~rising & (strength > at(-1, -1)) & (strength > at(1, 1))
    weak, edges = peak & (strength > 50), peak & (strength > 150)
    for _ in range(level.numel()):
        near = F.max_pool2d(edges.float(), 3, 1, 1) > 0
        edges, before = weak & near, edges
        if torch.equal(edges, before):
            break
    return edges


def plain_distance(edges: Tensor) -> Tensor:
    height, width = edges.shape[2:]
    distance = (~edges).float() * FAR
    for length, moves in _drops._MOVES.items():
        for dy, dx in moves:
            times = 1
            while times * length < FAR:
                p = F.pad(distance, (32, 32, 32, 32), value=FAR)
                top, left = 32 + times * dy, 32 + times * dx
                moved = p[..., top : top + height, left : left + width]
                distance = distance.minimum(moved + times * length)
                times *= 2
    return distance


@pytest.mark.parametrize("size", SIZES)
def test_edges_equal_the_plain_form(size: tuple[int, int]) -> None:
    for seed in range(5):
        level = drops(*size, seed)
        edges = _drops._edges(level)
        assert torch.equal(edges == -1, plain_edges(level))
        assert torch.equal(edges == 0, ~plain_edges(level))


@pytest.mark.parametrize("size", SIZES)
def test_distances_equal_the_plain_form_to_the_bit(size: tuple[int, int]) -> None:
    for seed, share in enumerate((0.0, 0.001, 0.01, 0.05, 0.3)):
        edges = torch.rand(2, 1, *size, generator=torch.Generator().manual_seed(seed)) < share
        assert torch.equal(_drops._distance(-edges.to(torch.int8)), plain_distance(edges))


def test_equalized_histograms() -> None:
    """Pixels not above a level beyond the lowest one, as a share of all but the lowest; a constant stays."""
    level = torch.randint(2, 20, (2, 1, 9, 11), generator=torch.Generator().manual_seed(0)).float()
    level[1] = 7
    for image, got in zip(level, _drops._equalized(level), strict=True):
        first = int((image == image.min()).sum())
        at_most = (image.flatten() <= image.flatten()[:, None]).sum(1).double().view(image.shape)
        share = (at_most - first) * (255 / (99 - first)) if first < 99 else image
        assert torch.equal(got.double(), share.double().round())
