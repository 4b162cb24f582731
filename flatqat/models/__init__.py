"""Model sources, one file each: `tiny`, `cifar:resnet20`, `torchvision:resnet50`, `file:nets.py:make`."""
