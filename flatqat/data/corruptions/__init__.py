"""The corruptions of ImageNet-C and CIFAR-10-C made live: names in `names`, the function in `apply`."""
