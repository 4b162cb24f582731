"""CIFAR-10 through other resizes and color conversions; needs only the clean images."""

from flatqat.data.cifar.sets import CIFAR10
from flatqat.suites._cifar import noisy_suite

SUITE = noisy_suite(CIFAR10)
