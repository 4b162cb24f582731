"""The corruptions of ImageNet-C and CIFAR-10-C on tensors: names in `names`, the function in `apply`."""
