"""CIFAR-10 and the official CIFAR-10-C files: 19 corruptions at 5 severities, read from disk."""

from pathlib import Path
from typing import TYPE_CHECKING

from flatqat.spec import Budget, Finding, Suite
from flatqat.suites._corruptions import shifts

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from flatqat.data.images import ImageData
