"""TerraIncognita, all four domains, through other decoders, resizes and color conversions."""

from flatqat.suites._noisy_domains import noisy
from flatqat.suites.terraincognita import TERRAINCOGNITA

SUITE = noisy(TERRAINCOGNITA, name="sysnoise-terraincognita")
