"""Mean corruption error: errors on ImageNet-C in units of AlexNet's, with constants that never change.

    CE_c = sum_s E_{s,c} / sum_s E^AlexNet_{s,c},    relative CE_c = the same of E_{s,c} - E_clean

and mCE, relative mCE are their means over the 15 corruptions, in percent. AlexNet measured anew would hide a
wrong crop, which acts on both sides of the ratio; with fixed constants AlexNet itself gives 100 only if the
protocol is right. Source: Hendrycks & Dietterich 2019 (arXiv 1903.12261), section 4.1.
"""

from collections.abc import Mapping
from math import fsum, sqrt
from typing import Any

from numpy.typing import NDArray

# Top-1 error in percent, mean over the five severities: the values that google-research/augmix and
# bethgelab/game-of-noise both use, to four digits.
ALEXNET = {
    "gaussian_noise": 88.6428,
    "shot_noise": 89.4468,
    "impulse_noise": 92.2640,
    "defocus_blur": 81.9880,
    "glass_blur": 82.6268,
    "motion_blur": 78.5948,
    "zoom_blur": 79.8360,
    "snow": 86.6816,
    "frost": 82.6572,
    "fog": 81.9324,
    "brightness": 56.4592,
    "contrast": 85.3204,
    "elastic_transform": 64.6056,
    "pixelate": 71.7840,
    "jpeg_compression": 60.6500,
}
ALEXNET_CLEAN = 43.5
SEVERITIES = 5

#: name in a suite's `normalizer` -> (mean error of each corruption, clean error), percent
NORMALIZERS: dict[str, tuple[Mapping[str, float], float]] = {"alexnet": (ALEXNET, ALEXNET_CLEAN)}


def mce(errors: Mapping[str, float], normalizer: str = "alexnet") -> float:
    """Percent, from each corruption's top-1 error in percent, the mean over its five severities.

    Raises ValueError unless `errors` has just the corruptions of the normalizer.
    """
    base, _ = NORMALIZERS[normalizer]
    _check(errors, base)
    return 100 * fsum(errors[name] / base[name] for name in base) / len(base)


def relative_mce(errors: Mapping[str, float], clean: float, normalizer: str = "alexnet") -> float:
    """As `mce`, of what each corruption adds to the `clean` error in percent."""
    base, base_clean = NORMALIZERS[normalizer]
    _check(errors, base)
    return 100 * fsum((errors[name] - clean) / (base[name] - base_clean) for name in base) / len(base)


def mce_weights(normalizer: str = "alexnet") -> dict[str, float]:
    """d mCE / d error of one severity of each corruption: mCE is linear in the errors."""
    base, _ = NORMALIZERS[normalizer]
    return {name: 100 / (len(base) * SEVERITIES * base[name]) for name in base}


def mce_stderr(right: Mapping[str, NDArray[Any]], normalizer: str = "alexnet") -> float:
    """Standard error of mCE over images, percent: each image has its share, sum_cs weight_c wrong_cs.

    `right` tells of every shift `<corruption>/<severity>` which of the same images are right, shape (n,).
    """
    weights = mce_weights(normalizer)
    shares: Any = sum(100 * weights[name.partition("/")[0]] * ~images for name, images in right.items())
    return float(shares.std(ddof=1)) / sqrt(len(shares))


def _check(errors: Mapping[str, float], base: Mapping[str, float]) -> None:
    if errors.keys() != base.keys():
        raise ValueError(f"expected the {len(base)} corruptions {sorted(base)}, got {sorted(errors)}")
