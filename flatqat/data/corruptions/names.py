"""The names of corruptions, in the order of ImageNet-C. Imports the standard library only."""

from typing import Literal

Table = Literal["cifar", "digits", "imagenet"]

SEVERITIES = range(1, 6)

_FAMILIES = {
    "noise": ("gaussian_noise", "shot_noise", "impulse_noise"),
    "blur": ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    "weather": ("snow", "frost", "fog", "brightness"),
    "digital": ("contrast", "elastic_transform", "pixelate", "jpeg_compression"),
    "extra": ("speckle_noise", "gaussian_blur", "spatter", "saturate"),
}

#: These are computed on a CPU wherever the images are.
ON_CPU = ("pixelate", "jpeg_compression")

#: Corruption -> family. The four `extra` are the validation set of Hendrycks & Dietterich (2019).
NAMES: dict[str, str] = {name: family for family, names in _FAMILIES.items() for name in names}
