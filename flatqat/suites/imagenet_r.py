"""ImageNet and ImageNet-R: paintings, toys, graffiti and other renditions of 200 classes."""

from flatqat.data.imagenet.names import IMAGENET_R
from flatqat.suites._imagenet import of_200_classes

SUITE = of_200_classes(
    "imagenet-r", IMAGENET_R, about="30,000 renditions of 200 classes", baseline="imagenet-r@1"
)
