"""CIFAR-10 and 19 corruptions at 5 severities, made live: needs the clean images only."""

from pathlib import Path
from typing import TYPE_CHECKING

from flatqat.data.cifar10 import LAYOUT
from flatqat.spec import Budget, Finding, Suite
from flatqat.suites._corruptions import live, shifts

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from flatqat.data.images import ImageData


def _train(root: Path | None) -> "ImageData":
    from flatqat.data import cifar10

    return cifar10.train(root)


def _val(root: Path | None) -> "ImageData":
    from flatqat.data import cifar10

    return cifar10.val(root)


def _test(root: Path | None) -> "ImageData":
    from flatqat.data import cifar10

    return cifar10.test(root)


def _corrupted(root: Path | None, *, corruption: str, severity: int) -> "ImageData":
    return live(_test(root), corruption=corruption, severity=severity)
