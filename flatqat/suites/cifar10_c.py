"""CIFAR-10 and the 19 corruptions of CIFAR-10-C, read from its official files."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flatqat.spec import Finding
from flatqat.suites import cifar10_c_live as clean
from flatqat.suites._corruptions import shifts

if TYPE_CHECKING:
    from flatqat.data.images import ImageData

LAYOUT = f"""the corrupted images in the data root, or the data root itself with CIFAR-10 beside it:
  CIFAR-10-C/<corruption>.npy    19 files, uint8 (50000, 32, 32, 3), severity s in rows 10000(s - 1) to 10000s
  CIFAR-10-C/labels.npy          (50000,)
and the clean ones in their original order, {clean.LAYOUT}"""


def _beside(root: Path | None) -> Path | None:
    from flatqat.data.cifar_c import clean_root

    return clean_root(root)


def _test(root: Path | None) -> "ImageData":
    return clean.SUITE.shifts[0].build(_beside(root))


def _corrupted(root: Path | None, *, corruption: str, severity: int) -> "ImageData":
    from flatqat.data import cifar_c

    return cifar_c.corrupted(root, corruption=corruption, severity=severity)


def _verify(root: Path | None) -> list[Finding]:
    from flatqat.data import cifar_c_verify

    return cifar_c_verify.verify(root)


SUITE = replace(
    clean.SUITE,
    name="cifar10-c",
    title="CIFAR-10 and CIFAR-10-C",
    protocol=(
        "32x32 RGB as stored, no resize, no crop; 10,000 test images; corruptions from the official files; "
        "normalised by the model; trained on 45,000 images with 4-pixel crops and flips"
    ),
    layout=LAYOUT,
    train=lambda root: clean.SUITE.train(_beside(root)),
    val=lambda root: clean.SUITE.val(_beside(root)),
    shifts=shifts(_test, _corrupted, extra=True),
    verify=_verify,
)
