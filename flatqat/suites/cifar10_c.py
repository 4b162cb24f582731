"""CIFAR-10 and the 19 corruptions of CIFAR-10-C, read from its official files."""

from flatqat.data.cifar.sets import CIFAR10
from flatqat.suites._cifar import official_suite

SUITE = official_suite(CIFAR10)
