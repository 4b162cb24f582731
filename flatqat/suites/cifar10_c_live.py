"""CIFAR-10 under 19 corruptions generated on the fly; needs only the clean images."""

from flatqat.data.cifar.sets import CIFAR10
from flatqat.suites._cifar import live_suite

SUITE = live_suite(CIFAR10, version=2)  # 2: random numbers of 16 bits
