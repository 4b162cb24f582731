"""ImageNet and ImageNet-A: photographs of 200 classes that a ResNet-50 misclassifies."""

from flatqat.data.imagenet.names import IMAGENET_A
from flatqat.suites._imagenet import of_200_classes

SUITE = of_200_classes(
    "imagenet-a",
    IMAGENET_A,
    about="7,500 photographs of 200 classes, chosen because a ResNet-50 fails on them",
)
