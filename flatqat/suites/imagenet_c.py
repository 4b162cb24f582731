"""ImageNet and the 19 corruptions of ImageNet-C, read from its official files."""

from flatqat.data.imagenet.clean import corruptible
from flatqat.data.imagenet.names import IMAGENET_C
from flatqat.suites._imagenet import stored

SUITE = stored(
    IMAGENET_C,
    name="imagenet-c",
    about="15 corruptions at 5 severities from the official JPEG files, 4 more aside where they are there",
    normalizer="alexnet",
    corruptible=corruptible,
)
