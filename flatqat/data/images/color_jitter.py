"""Random color changes of a whole batch; each image has its own factors, applied in its own order.

With g = 0.2989 R + 0.587 G + 0.114 B (ITU-R BT.601) and a factor f, clipped to [0, 1]:

    brightness    f x
    contrast      f x + (1 - f) mean(g)
    saturation    f x + (1 - f) g
    hue           h + f modulo 1, in HSV

These equal torchvision's `ColorJitter` and `RandomGrayscale` on floating-point images. On 8-bit images
torchvision rounds after each of the four changes; here nothing is rounded.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor

GRAY = (0.2989, 0.587, 0.114)


def color_jitter(
    x: "Tensor", generator: "Generator", *, strength: float, hue: float | None = None
) -> "Tensor":
    """Return the images with brightness, contrast, saturation and hue changed in a random order.

    Args:
        x: Images (B, 3, H, W) in [0, 1].
        generator: A CPU generator, so that every device gets the same random numbers.
        strength: The first three factors are uniform on 1 - strength .. 1 + strength.
        hue: The factor of hue is uniform on -hue .. hue, where `strength` is above 0; None stands for
            `strength`.

    Returns:
        Images (B, 3, H, W) in [0, 1]; all 24 orders of the changes are equally likely.
    """
    import torch

    factors = 1 + strength * (2 * torch.rand(len(x), 4, generator=generator) - 1)
    factors[:, 3] -= 1
    if hue is not None:
        factors[:, 3] *= hue / strength
    order = torch.rand(len(x), 4, generator=generator).argsort(1)
    return jittered(x, factors, order)


def jittered(x: "Tensor", factors: "Tensor", order: "Tensor") -> "Tensor":
    """Change every image by its four factors (B, 4), in the order that its row of `order` (B, 4) gives.

    Columns of `factors` and numbers in `order` are 0 brightness, 1 contrast, 2 saturation, 3 hue.
    """
    x, factors = x.clone(), factors.to(x.device, x.dtype)[:, :, None, None, None]
    for place in range(len(CHANGES)):
        for number, change in enumerate(CHANGES):
            rows = (order[:, place] == number).nonzero()[:, 0].to(x.device)
            if len(rows):
                x[rows] = change(x[rows], factors[rows, number])
    return x


def random_gray(x: "Tensor", generator: "Generator", *, share: float) -> "Tensor":
    """Return images (B, 3, H, W) of which a random `share` is gray, with equal channels."""
    import torch

    chosen = torch.rand(len(x), 1, 1, 1, generator=generator) < share
    return torch.where(chosen.to(x.device), _gray(x), x)


def _gray(x: "Tensor") -> "Tensor":
    """Return the luma of images (B, 3, H, W) as (B, 1, H, W)."""
    return (x * x.new_tensor(GRAY).view(3, 1, 1)).sum(1, keepdim=True)


def _brightness(x: "Tensor", factor: "Tensor") -> "Tensor":
    return (factor * x).clamp_(0, 1)


def _contrast(x: "Tensor", factor: "Tensor") -> "Tensor":
    mean = _gray(x).mean((2, 3), keepdim=True)
    return (factor * x + (1 - factor) * mean).clamp_(0, 1)


def _saturation(x: "Tensor", factor: "Tensor") -> "Tensor":
    return (factor * x + (1 - factor) * _gray(x)).clamp_(0, 1)


def _hue(x: "Tensor", factor: "Tensor") -> "Tensor":
    """Rotate the hue of images, through HSV with hue in sixths of the circle (Smith 1978).

    The way back is f(n) = V - (V - min) max(0, min(k, 4 - k, 1)), k = (n + h) mod 6, for n = 5, 3, 1.
    """
    import torch

    red, green, blue = x.unbind(1)
    value, low = x.amax(1), x.amin(1)
    depth = value - low
    unit = depth.where(depth > 0, 1)
    hue = torch.where(value == green, 2 + (blue - red) / unit, 4 + (red - green) / unit)
    hue = torch.where(value == red, (green - blue) / unit, hue) + 6 * factor[:, 0]
    k = torch.stack([hue + n for n in (5, 3, 1)], 1).remainder_(6)
    return value[:, None] - depth[:, None] * torch.minimum(k, 4 - k).clamp_(0, 1)


CHANGES = (_brightness, _contrast, _saturation, _hue)
