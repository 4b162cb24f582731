"""Mean corruption error: errors on ImageNet-C relative to those of AlexNet, which are fixed constants.

    CE_c = sum_s E_{s,c} / sum_s E^AlexNet_{s,c},    relative CE_c = the same of E_{s,c} - E_clean

mCE and relative mCE are their means over the 15 corruptions, in percent. If AlexNet were measured again, a
wrong crop would cancel in the ratio; with fixed constants, AlexNet itself has 100 only if the protocol is
right. Source: Hendrycks & Dietterich 2019 (arXiv 1903.12261), section 4.1.
"""

from collections.abc import Mapping
from math import fsum, sqrt
from typing import Any

from numpy.typing import NDArray

# Top-1 error in percent, mean over the five severities: the values that google-research/augmix and
# bethgelab/game-of-noise both use, to four digits.
_NOISE = {"gaussian_noise": 88.6428, "shot_noise": 89.4468, "impulse_noise": 92.2640}
_BLUR = {"defocus_blur": 81.9880, "glass_blur": 82.6268, "motion_blur": 78.5948, "zoom_blur": 79.8360}
_WEATHER = {"snow": 86.6816, "frost": 82.6572, "fog": 81.9324, "brightness": 56.4592}
_DIGITAL = {
    "contrast": 85.3204,
    "elastic_transform": 64.6056,
    "pixelate": 71.7840,
    "jpeg_compression": 60.65,
}
ALEXNET = _NOISE | _BLUR | _WEATHER | _DIGITAL
ALEXNET_CLEAN = 43.5
SEVERITIES = 5

NORMALIZERS: dict[str, tuple[Mapping[str, float], float]] = {"alexnet": (ALEXNET, ALEXNET_CLEAN)}
"""Maps the `normalizer` of a suite to (mean error of each corruption, clean error), in percent."""


def mce(errors: Mapping[str, float], normalizer: str = "alexnet") -> float:
    """Return mCE in percent from the top-1 error of each corruption in percent, the mean of five severities.

    Raises ValueError if the corruptions are not exactly those of the normalizer.
    """
    return _mean_ratio(errors, 0.0, NORMALIZERS[normalizer][0], 0.0)


def relative_mce(errors: Mapping[str, float], clean: float, normalizer: str = "alexnet") -> float:
    """Return relative mCE in percent: as `mce`, for the increase over the `clean` error, in percent."""
    return _mean_ratio(errors, clean, *NORMALIZERS[normalizer])


def mce_weights(normalizer: str = "alexnet") -> dict[str, float]:
    """Return d mCE / d error of a single severity, by corruption: mCE is linear in the errors."""
    base, _ = NORMALIZERS[normalizer]
    return {name: 100 / (len(base) * SEVERITIES * base[name]) for name in base}


def mce_stderr(correct: Mapping[str, NDArray[Any]], normalizer: str = "alexnet") -> float:
    """Return the standard error of mCE over images in percent.

    It is that of the mean of each image's share, sum_cs weight_c wrong_cs. `correct` maps every shift
    `<corruption>/<severity>` to whether each of the same n images is classified correctly, bool (n,).
    """
    weights = mce_weights(normalizer)
    shares: Any = sum(100 * weights[name.partition("/")[0]] * ~images for name, images in correct.items())
    return float(shares.std(ddof=1)) / sqrt(len(shares))


def _mean_ratio(
    errors: Mapping[str, float], clean: float, base: Mapping[str, float], base_clean: float
) -> float:
    if errors.keys() != base.keys():
        raise ValueError(f"expected the {len(base)} corruptions {sorted(base)}, got {sorted(errors)}")
    return 100 * fsum((errors[name] - clean) / (base[name] - base_clean) for name in base) / len(base)
