"""ImageNet and the 10 corruptions of ImageNet-C-bar, chosen to differ from those of ImageNet-C."""

from flatqat.data.imagenet.names import IMAGENET_C_BAR
from flatqat.suites._imagenet import stored

SUITE = stored(
    IMAGENET_C_BAR,
    name="imagenet-c-bar",
    about="10 corruptions at 5 severities from files, plain mean error, no normaliser",
)
