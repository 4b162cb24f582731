"""ImageNet and the 12 corruptions of ImageNet-3DCC, which use estimated depth."""

from flatqat.data.imagenet.names import IMAGENET_3DCC
from flatqat.suites._imagenet import stored

SUITE = stored(
    IMAGENET_3DCC,
    name="imagenet-3dcc",
    about="12 corruptions at 5 severities from the official files, plain mean error, no normaliser",
)
