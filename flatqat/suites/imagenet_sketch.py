"""ImageNet and ImageNet-Sketch: black-and-white drawings of all 1,000 classes."""

from flatqat.data.imagenet.names import IMAGENET_SKETCH
from flatqat.suites._imagenet import of_all_classes

SUITE = of_all_classes(
    ("imagenet-sketch", IMAGENET_SKETCH),
    name="imagenet-sketch",
    title="ImageNet and ImageNet-Sketch",
    about="50,889 sketches",
    baseline="imagenet-sketch@1",
)
