"""The names of corruptions, in the order of ImageNet-C. Imports the standard library only."""

from typing import Literal

Table = Literal["cifar", "imagenet"]

SEVERITIES = range(1, 6)

#: Corruption -> family. The four `extra` are the validation set of Hendrycks & Dietterich (2019).
NAMES: dict[str, str] = {
    "gaussian_noise": "noise",
    "shot_noise": "noise",
    "impulse_noise": "noise",
    "defocus_blur": "blur",
    "glass_blur": "blur",
    "motion_blur": "blur",
    "zoom_blur": "blur",
    "snow": "weather",
    "frost": "weather",
    "fog": "weather",
    "brightness": "weather",
    "contrast": "digital",
    "elastic_transform": "digital",
    "pixelate": "digital",
    "jpeg_compression": "digital",
    "speckle_noise": "extra",
    "gaussian_blur": "extra",
    "spatter": "extra",
    "saturate": "extra",
}
