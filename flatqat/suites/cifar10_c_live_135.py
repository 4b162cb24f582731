"""CIFAR-10 under the 15 main corruptions at severities 1, 3 and 5, generated on the fly: half the work."""

from dataclasses import replace

from flatqat.data.cifar.sets import CIFAR10
from flatqat.suites._cifar import live_suite

_FULL = live_suite(CIFAR10)
_SEVERITIES = (None, 1, 3, 5)  # None: of the clean images

SUITE = replace(
    _FULL,
    name="cifar10-c-live-135",
    title="CIFAR-10, corrupted on the fly at severities 1, 3 and 5",
    protocol=f"{_FULL.protocol}; severities 1, 3 and 5 of the 15 corruptions that count in the mean",
    shifts=tuple(s for s in _FULL.shifts if s.in_mean and s.severity in _SEVERITIES),
)
