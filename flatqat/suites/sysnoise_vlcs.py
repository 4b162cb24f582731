"""VLCS, all four domains, through other decoders, resizes and color conversions."""

from flatqat.suites._noisy_domains import noisy
from flatqat.suites.vlcs import VLCS

SUITE = noisy(VLCS, name="sysnoise-vlcs")
