"""DomainNet, all six domains, through other decoders, resizes and color conversions."""

from flatqat.suites._noisy_domains import noisy
from flatqat.suites.domainnet import DOMAINNET

SUITE = noisy(DOMAINNET, name="sysnoise-domainnet", steps=15_001, select_every=1000)
