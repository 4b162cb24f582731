"""CIFAR-100 and the 19 corruptions of CIFAR-100-C, read from its official files."""

from flatqat.data.cifar.sets import CIFAR100
from flatqat.suites._cifar import official_suite

SUITE = official_suite(CIFAR100, images="10,000 test images of 100 fine classes")
