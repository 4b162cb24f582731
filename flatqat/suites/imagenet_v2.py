"""ImageNet and ImageNetV2: new photographs, collected like the validation set."""

from flatqat.data.imagenet.names import IMAGENET_V2
from flatqat.suites._imagenet import of_all_classes

SUITE = of_all_classes(
    *IMAGENET_V2.items(),
    name="imagenet-v2",
    title="ImageNet and ImageNetV2",
    about="10,000 of ImageNetV2 matched-frequency, the variant that is quoted, the two others aside",
    baseline="imagenet-v2@1",
)
