"""Snow: streaks of blown flakes over a whitened image."""

from torch import Tensor

from flatqat.data.corruptions._draw import Draw
from flatqat.data.corruptions._zoom import zoom
from flatqat.data.corruptions.constants import Constants
from flatqat.data.corruptions.motion import streak


def snow(images: Tensor, draw: Draw, constants: Constants) -> Tensor:
    """Add snow. Constants: (mean, std, zoom, threshold, radius, sigma, keep).

    Flakes are normal noise, zoomed, cut below the threshold and blown along a line at -135 .. -45 degrees;
    they fall over the image twice, the second time turned by 180 degrees. The image keeps its share `keep`
    and takes the rest from the larger of itself and 1.5 gray + 0.5.
    """
    mean, std, factor, threshold, radius, sigma, keep = constants
    flakes = zoom(draw.normal("flakes", 1, *images.shape[2:]).mul_(std).add_(mean), factor)
    flakes = (flakes * (flakes >= threshold)).clamp_(0, 1).mul_(255).byte()
    layer = streak(flakes, draw.uniform("angle", low=-135.0, high=-45.0), radius, sigma)
    x = images.float()
    red, green, blue = x.split(1, 1)
    white = (red * 0.299).add_(green * 0.587).add_(blue * 0.114).mul_(1.5).add_(127.5)
    whitened = x.maximum(white).mul_(1 - keep)
    return whitened.add_(x.mul_(keep)).add_(layer.add_(layer.rot90(2, (2, 3))))
