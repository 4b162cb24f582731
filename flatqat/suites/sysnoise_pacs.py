"""PACS, all four domains, through other decoders, resizes and color conversions."""

from flatqat.suites._noisy_domains import noisy
from flatqat.suites.pacs import PACS

SUITE = noisy(PACS, name="sysnoise-pacs")
