"""OfficeHome, all four domains, through other decoders, resizes and color conversions."""

from flatqat.suites._noisy_domains import noisy
from flatqat.suites.officehome import OFFICEHOME

SUITE = noisy(OFFICEHOME, name="sysnoise-officehome")
