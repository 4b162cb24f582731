"""CIFAR-100 under 19 corruptions generated on the fly; needs only the clean images."""

from flatqat.data.cifar.sets import CIFAR100
from flatqat.suites._cifar import live_suite

SUITE = live_suite(CIFAR100, images="10,000 test images of 100 fine classes")
